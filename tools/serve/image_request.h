// Requests for pictures: JSON or a form, in OpenAI's fields and ours.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/generation_options.h"
#include "tools/serve/http/limits.h"

namespace dalle1::serve {

enum class ImageTask { generation, edit, variation };

/// What is said of the answer and of a given picture, beside rerank::GenerationOptions.
struct ImageFields {
  int n = 0;  ///< What `keep` is on the command line; 0: not given.
  std::string model, size = "auto";
  std::string response_format = "b64_json", output_format = "png", quality = "auto", background = "auto";
  std::string moderation = "auto", user;
  bool stream = false;
  int partial_images = 0;  ///< Previews of a picture while it is drawn.
  bool progress =
      false;  ///< Our own events in the stream: where the run stands, pictures as they are scored.
  // Of an edit.
  int keep_rows = 0;
  std::vector<int> region;
  bool redraw_rest = false, paste = false;
  // Of a variation.
  std::vector<int> depths;

  static void visit(auto& self, auto& field) {
    using namespace config;
    field("n", self.n, within(1, 1000000).with("Pictures in the answer; the same as keep"));
    field("model", self.model, help("The model that is loaded, as /v1/models names it"));
    field("size", self.size, help("\"auto\", or the size that the model draws"));
    field("response_format", self.response_format,
          one_of({"b64_json"}).with("Pictures come in the answer: nothing is stored for a url"));
    field("output_format", self.output_format, one_of({"png"}));
    field("quality", self.quality, one_of({"auto", "standard"}));
    field("background", self.background, one_of({"auto", "opaque"}));
    field("moderation", self.moderation, one_of({"auto", "low"}));
    field("user", self.user, help("Not used"));
    field("stream", self.stream, help("Server-sent events instead of one document"));
    field("partial_images", self.partial_images,
          within(0, 64).with("Previews while a wave is drawn, evenly over its rows; needs stream"));
    field("progress", self.progress, help("Events dalle1.progress and dalle1.scored in the stream"));
  }
  static void visit_edit(auto& self, auto& field) {
    using namespace config;
    field("keep_rows", self.keep_rows, within(1, 1024).with("Keep the top rows of the grid"));
    field("region", self.region, within(0, 1 << 20).with("x,y,w,h: redraw this rectangle of the picture"));
    field("redraw_rest", self.redraw_rest, help("Redraw everything behind the last redrawn cell, too"));
    field("paste", self.paste, help("Kept pixels come from the picture, with a blended seam"));
  }
  static void visit_variation(auto& self, auto& field) {
    field("depths", self.depths,
          config::within(1, 1024).with("Rows kept; candidates take them in turn (default: 1/4, 1/2, 3/4)"));
  }
};

/// The fields of one task alone, as configurations of their own.
struct EditFields : ImageFields {
  static void visit(auto& self, auto& field) { visit_edit(self, field); }
};
struct VariationFields : ImageFields {
  static void visit(auto& self, auto& field) { visit_variation(self, field); }
};

struct ImageRequest {
  ImageTask task = ImageTask::generation;
  rerank::GenerationOptions options;
  std::set<std::string> given;  ///< Names of the fields that the request has.
  ImageFields fields;
  std::string_view image, mask;  ///< Files, in the body that was read.

  bool has(const std::string& name) const { return given.count(name) > 0; }
};

/// ApiError(400) names the field that is unknown, mistyped, out of range or over the limits. `candidates`:
/// where the request says none.
ImageRequest read_image_request(ImageTask task, std::string_view body, std::string_view content_type,
                                const Limits& limits, int candidates);

}  // namespace dalle1::serve
