// Sheets: pictures of equal size in a grid, with captions under them and a title above.
#pragma once

#include <span>
#include <string>

#include "core/image/image.h"

namespace dalle1 {

struct SheetCell {
  Image picture = {};        ///< any kind; alpha is blended over the background
  std::string caption = "";  ///< one line, shortened with "..." to the width of the picture
  bool highlight = false;    ///< a coloured frame: the best, or the given picture
  /// Stands for the caption in the whole sheet once a caption does not fit; "": captions are shortened.
  std::string brief = "";
};

struct SheetOptions {
  std::string title = "";  ///< shortened to the width of the sheet
  int columns = 0;         ///< 0: chosen so that the sheet is somewhat wider than high with few empty cells
  int margin = 0;          ///< pixels around each picture; 0: by its size
  int text_scale = 0;      ///< pixels a font pixel; 0: by the size of the pictures
};

/// Columns for `count` cells of `width` x `height` pixels.
int choose_sheet_columns(int count, int width, int height);

/// An RGB picture of all cells in reading order. Error(usage) when there are none, when their sizes differ,
/// or when the sheet would be over kMaxImageSide or kMaxImagePixels.
Image draw_sheet(std::span<const SheetCell> cells, const SheetOptions& options = {});

}  // namespace dalle1
