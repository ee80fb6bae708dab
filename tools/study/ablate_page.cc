#include "tools/study/ablate_page.h"

#include <fmt/format.h>

#include "core/error.h"
#include "core/image/png.h"
#include "core/text/markup.h"

namespace dalle1::tools {
namespace {

constexpr const char* kStyle = R"(<style>
:root { color-scheme: light dark; --page: #fbfbfa; --panel: #fff; --ink: #17191e; --quiet: #5c636e; --line: #e2e4e8;
  --good: #14764f; --bad: #b4420f; --c0: #2a78d6; --c1: #1baf7a; --c2: #dc9400; --c3: #d5558f; --c4: #6a55c8; --c5: #e34948;
  --c6: #0e8f9e; --c7: #8a929c; --c8: #7d9a1f; --c9: #a0613a; }
@media (prefers-color-scheme: dark) {
  :root { --page: #111317; --panel: #191c21; --ink: #e9ebee; --quiet: #9ba3ae; --line: #2d323a;
    --good: #4cc38a; --bad: #f0894f; --c0: #4c94ec; --c1: #23b483; --c2: #d89a1e; --c3: #e0709f; --c4: #9787ee; --c5: #ea6c6c;
    --c6: #35b3c2; --c7: #7f8893; --c8: #9dbb3f; --c9: #c98a60; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 80rem; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.75rem; line-height: 1.2; letter-spacing: -.01em; margin: 0 0 .4rem; }
h2 { font-size: 1.2rem; margin: 2.8rem 0 .3rem; } h3 { font-size: 1rem; margin: 1.4rem 0 .5rem; }
p { margin: .3rem 0 .9rem; max-width: 50rem; } .note, figcaption, small { color: var(--quiet); }
.note { font-size: .9rem; } small { font-size: .8em; font-weight: normal; }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); gap: .9rem 1.6rem;
  margin: 1.2rem 0; } .facts dt { color: var(--quiet); font-size: .8rem; } .facts dd { margin: 0; }
.findings { border-left: 4px solid var(--ink); } .findings p { margin: .25rem 0; max-width: none; }
.findings h3:first-child { margin-top: 0; }
.warning { border-left: 4px solid var(--bad); margin-top: 1rem; } .warning p { margin: 0; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
.scroll { overflow-x: auto; padding: .3rem .4rem; } table { border-collapse: collapse; width: 100%;
  font-size: .93rem; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .6rem; border-top: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { border-top: 0; color: var(--quiet); font-size: .8rem; font-weight: 500; vertical-align: bottom; }
tbody th { font-weight: 600; } th:first-child, .words { text-align: left; } td.words { white-space: normal; min-width: 9rem; }
tr.base { background: color-mix(in srgb, var(--ink) 5%, transparent); }
.name { white-space: nowrap; }
.scale { display: inline-flex; justify-content: space-between; width: 9.5rem; font-variant-numeric: tabular-nums; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 3px; margin-right: .5em; background: var(--c); }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: .2rem 0 .8rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(28rem, 100%), 1fr)); gap: 1rem; }
svg.plot { width: 100%; height: auto; display: block; background: var(--panel); border: 1px solid var(--line); border-radius: 10px; }
svg text { fill: var(--quiet); font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
svg text.title { fill: var(--ink); font-size: 14px; font-weight: 600; } svg .rule { stroke: var(--line); }
svg .zero { stroke: var(--quiet); stroke-dasharray: 3 3; } svg polyline { fill: none; stroke: var(--c); stroke-width: 1.8;
  stroke-linejoin: round; } svg polygon { fill: var(--c); opacity: .13; } svg polyline.c-base { stroke-width: 2.6; }
svg.interval { width: 9.5rem; height: 1.3rem; vertical-align: middle; color: var(--quiet); } .interval line { stroke: currentColor; }
.interval .reach { stroke-width: 2.5; stroke-linecap: round; } .interval circle { fill: currentColor; }
svg.interval.better { color: var(--good); } svg.interval.worse { color: var(--bad); } .interval .zero { stroke: var(--quiet); }
.cards { display: flex; flex-wrap: wrap; gap: 1rem; } .cards .panel { flex: 1 1 auto; }
.cards h3 { margin: 0 0 .6rem; } .row { display: flex; flex-wrap: wrap; gap: .8rem; } figure { margin: 0; width: 8.6rem; }
figcaption { font-size: .78rem; line-height: 1.35; margin-top: .3rem; overflow-wrap: anywhere; }
img { display: block; max-width: 100%; height: auto; }
.mask { position: relative; } .mask img { width: 100%; border-radius: 4px; outline: 1px solid var(--line); }
.mask::before, .mask::after { content: ""; position: absolute; }
.mask::before { left: var(--text); top: 0; bottom: 0; border-left: 1px dashed #e8a33d; }
.mask::after { top: var(--text); left: 0; right: 0; border-top: 1px dashed #e8a33d; }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(17.2rem, 100%), 1fr)); gap: .9rem 1.4rem; }
.samples p { margin: 0 0 .25rem; font-size: .88rem; } .samples .row { gap: .35rem; } img.sample { width: 4rem; border-radius: 4px; }
@media (max-width: 46rem) {
  body { padding: 1.2rem .9rem 3rem; } .scroll { padding: 0; } table, tbody, tr { display: block; } thead { display: none; }
  tr { padding: .7rem .9rem; border-top: 1px solid var(--line); } tr:first-child { border-top: 0; }
  tbody th, td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .12rem 0; white-space: normal;
    text-align: right; }
  td::before { content: attr(data-label); color: var(--quiet); text-align: left; } td:empty { display: none; }
  tbody th { justify-content: flex-start; gap: 0; align-items: baseline; padding-bottom: .3rem; } svg.interval { width: 11rem; } }
@media print { body { max-width: none; } .panel, svg.plot, figure { break-inside: avoid; } }
)";

std::string base64(const std::vector<uint8_t>& bytes) {
  static const char* const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = std::min<size_t>(3, bytes.size() - i);
    uint32_t word = uint32_t{bytes[i]} << 16;
    if (left > 1) word |= uint32_t{bytes[i + 1]} << 8;
    if (left > 2) word |= bytes[i + 2];
    for (size_t digit = 0; digit < 4; ++digit)
      text += digit <= left ? digits[(word >> (18 - 6 * digit)) & 63] : '=';
  }
  return text;
}

}  // namespace

std::string page_style() {
  std::string text = kStyle;
  for (int i = 0; i < 10; ++i) text += fmt::format(".c{0} {{ --c: var(--c{0}); }} ", i);
  return text + ".c-base { --c: var(--ink); }\n</style>\n";
}

std::string picture_html(const Image& image, const char* css_class, const std::string& words) {
  return fmt::format(
      "<img class=\"{}\" width=\"{}\" height=\"{}\" alt=\"{}\" src=\"data:image/png;base64,{}\">", css_class,
      image.width, image.height, text::escape_markup(words), base64(encode_png(image)));
}

void HtmlTable::row(const std::vector<std::string>& cells, const char* css_class) {
  check(cells.size() == columns_.size(), ErrorKind::internal, "{} cells in a table of {} columns",
        cells.size(), columns_.size());
  rows_ += fmt::format("<tr class=\"{}\"><th scope=\"row\">{}</th>", css_class, cells.front());
  for (size_t i = 1; i < cells.size(); ++i) {
    rows_ += fmt::format("<td data-label=\"{}\"{}>{}</td>", text::escape_markup(columns_[i].label),
                         columns_[i].words ? " class=\"words\"" : "", cells[i]);
  }
  rows_ += "</tr>\n";
}

std::string HtmlTable::html() const {
  std::string html = "<div class=\"panel scroll\"><table><thead><tr>";
  for (const Column& column : columns_)
    html += fmt::format("<th scope=\"col\"{}>{}</th>", column.words ? " class=\"words\"" : "",
                        column.head.empty() ? text::escape_markup(column.label) : column.head);
  return html + "</tr></thead><tbody>\n" + rows_ + "</tbody></table></div>\n";
}

}  // namespace dalle1::tools
