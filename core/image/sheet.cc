#include "core/image/sheet.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/image/draw.h"

namespace dalle1 {
namespace {

constexpr Colour kBackground{246, 246, 243}, kInk{45, 45, 48}, kAccent{226, 98, 20};

/// All lengths in pixels.
struct SheetLayout {
  int columns = 0, rows = 0;
  int scale = 1, margin = 0;
  int caption_height = 0, title_height = 0;  // 0 where there is none
  int cell_width = 0, cell_height = 0;       // of a picture with its caption, without margins
  bool brief = false;                        // captions give way to their brief forms

  int title_scale() const { return scale + 1; }
  int64_t width() const { return int64_t{columns} * (cell_width + margin) + margin; }
  int64_t height() const { return title_height + int64_t{rows} * (cell_height + margin) + margin; }
};

SheetLayout lay_out(std::span<const SheetCell> cells, const SheetOptions& options) {
  const Image& first = cells.front().picture;
  const int side = std::min(first.width, first.height), count = static_cast<int>(cells.size());
  SheetLayout layout;
  layout.scale = options.text_scale > 0 ? options.text_scale : std::clamp(side / 128, 1, 8);
  layout.margin = options.margin > 0 ? options.margin : std::clamp(side / 20, 4, 64);
  const int line = kFontHeight * layout.scale, title_line = kFontHeight * layout.title_scale();
  const bool captions =
      std::any_of(cells.begin(), cells.end(), [](const SheetCell& c) { return !c.caption.empty(); });
  layout.caption_height = captions ? line + 4 * layout.scale : 0;
  layout.title_height = options.title.empty() ? 0 : title_line + layout.margin;
  layout.brief = std::any_of(cells.begin(), cells.end(), [&](const SheetCell& c) {
    return text_width(c.caption, layout.scale) > first.width;
  });
  layout.cell_width = first.width;
  layout.cell_height = first.height + layout.caption_height;
  layout.columns = options.columns > 0 ? options.columns
                                       : choose_sheet_columns(count, layout.cell_width, layout.cell_height);
  layout.rows = (count + layout.columns - 1) / layout.columns;
  return layout;
}

void draw_cell(Image& sheet, const SheetCell& cell, const SheetLayout& layout, int x, int y) {
  if (cell.highlight) {
    const int thickness = std::clamp(layout.margin / 3, 1, 4 * layout.scale);
    draw_frame(sheet, x, y, cell.picture.width, cell.picture.height, thickness, kAccent);
  }
  paste(sheet, cell.picture, x, y);
  const std::string& text = layout.brief && !cell.brief.empty() ? cell.brief : cell.caption;
  const std::string caption = elide_text(text, layout.cell_width, layout.scale);
  const int indent = std::max(0, (layout.cell_width - text_width(caption, layout.scale)) / 2);
  // Below the frame of a highlighted cell as well.
  const int top = y + cell.picture.height + layout.caption_height - kFontHeight * layout.scale + layout.scale;
  draw_text(sheet, x + indent, top, caption, cell.highlight ? kAccent : kInk, layout.scale);
}

}  // namespace

int choose_sheet_columns(int count, int width, int height) {
  constexpr double kAspect = 1.25, kEmptyCell = 6;
  int best = 1;
  double best_cost = std::numeric_limits<double>::infinity();
  for (int columns = 1; columns <= count; ++columns) {
    const int rows = (count + columns - 1) / columns;
    const double aspect = static_cast<double>(columns) * width / (static_cast<double>(rows) * height);
    const double cost = std::abs(std::log(aspect / kAspect)) + kEmptyCell * (rows * columns - count) / count;
    if (cost < best_cost) best = columns, best_cost = cost;
  }
  return best;
}

Image draw_sheet(std::span<const SheetCell> cells, const SheetOptions& options) {
  check(!cells.empty(), ErrorKind::usage, "sheet: no pictures");
  const Image& first = cells.front().picture;
  for (size_t i = 0; i < cells.size(); ++i) {
    const Image& picture = cells[i].picture;
    check(picture.width == first.width && picture.height == first.height, ErrorKind::usage,
          "sheet: picture {} has {} x {} pixels, the first one {} x {}", i, picture.width, picture.height,
          first.width, first.height);
  }
  const SheetLayout layout = lay_out(cells, options);
  check(std::max(layout.width(), layout.height()) <= kMaxImageSide &&
            layout.width() * layout.height() <= kMaxImagePixels,
        ErrorKind::usage, "sheet: {} pictures of {} x {} make {} x {} pixels; use fewer or smaller ones",
        cells.size(), first.width, first.height, layout.width(), layout.height());

  Image sheet(static_cast<int>(layout.width()), static_cast<int>(layout.height()), 3);
  fill_rectangle(sheet, 0, 0, sheet.width, sheet.height, kBackground);
  const std::string title = elide_text(options.title, sheet.width - 2 * layout.margin, layout.title_scale());
  draw_text(sheet, layout.margin, layout.margin, title, kInk, layout.title_scale());
  for (size_t i = 0; i < cells.size(); ++i) {
    const int column = static_cast<int>(i) % layout.columns, row = static_cast<int>(i) / layout.columns;
    draw_cell(sheet, cells[i], layout, layout.margin + column * (layout.cell_width + layout.margin),
              layout.title_height + layout.margin + row * (layout.cell_height + layout.margin));
  }
  return sheet;
}

}  // namespace dalle1
