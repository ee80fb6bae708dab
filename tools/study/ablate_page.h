// What the report of a study is built from: its style sheet, tables that become cards on narrow screens,
// pictures inside of the page.
#pragma once

#include <string>
#include <vector>

#include "core/image/image.h"

namespace dalle1::tools {

/// <style>: light and dark, wide and narrow. The classes c0 to c9 and c-base set the colour --c.
std::string page_style();

/// <img> with the picture as base64 in the page; `words` describe it.
std::string picture_html(const Image& image, const char* css_class, const std::string& words);

/// A table whose rows are cards on narrow screens, each cell after its label.
class HtmlTable {
 public:
  struct Column {
    std::string label;
    bool words = false;     ///< Left-aligned.
    std::string head = "";  ///< HTML in the place of the label where there is a head.
  };
  explicit HtmlTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One cell of HTML for each column; the first is the row's head.
  void row(const std::vector<std::string>& cells, const char* css_class = "");
  std::string html() const;

 private:
  std::vector<Column> columns_;
  std::string rows_;
};

}  // namespace dalle1::tools
