// The architecture that importers read off the shapes is the one that the models have, for every published
// size.
#include <doctest/doctest.h>

#include "clip/config.h"
#include "tools/commands/part_shapes.h"
#include "weights/open.h"
#include "weights/presets.h"

using namespace dalle1;
using namespace dalle1::weights;

namespace {

// A file with these tensors and no bytes: whoever reads their values would notice.
StateFile shapes_only(const std::vector<TensorSpec>& specs, std::string_view prefix = "") {
  StateFile file;
  file.name = "shapes";
  for (const TensorSpec& spec : specs)
    if (spec.name.starts_with(prefix))
      file.tensors.push_back({spec.name.substr(prefix.size()), spec.dtype, spec.shape, {}, {}});
  return file;
}

}  // namespace

TEST_CASE("every published CLIP and dVAE is recognised, and its configuration follows from the shapes") {
  int clips = 0;
  for (const Preset& preset : presets()) {
    if (preset.part == "transformer") continue;
    if (!preset.config.contains("embed_dim") && preset.part == "clip") continue;  // an activation alone
    CAPTURE(preset.name);
    const auto specs = tools::expected_tensors(preset.part, preset.config);
    Checkpoint found;
    if (preset.part == "clip") {
      ++clips;
      found = import_files({shapes_only(specs)});
    } else if (preset.config.at("kind") == "openai") {
      found = import_files({shapes_only(specs, "encoder."), shapes_only(specs, "decoder.")});
      found.config["post_gain"] =
          preset.config.at("post_gain");  // an attribute of the pickled module, no shape
    } else {
      continue;  // ru-dalle's come with their YAML
    }
    CHECK(found.part == preset.part);
    if (preset.part == "clip") {  // what neither says is implied
      CHECK(clip::clip_config_from_json(found.config).to_json() ==
            clip::clip_config_from_json(preset.config).to_json());
    } else {
      CHECK(found.config == preset.config);
    }
    CHECK_NOTHROW(tools::check_part(found));
  }
  CHECK(clips == 12);
}
