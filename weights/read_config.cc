#include "core/io/byte_order_mark.h"
#include "core/io/file_kind.h"
#include "weights/file_bytes.h"
#include "weights/hf_clip_config.h"
#include "weights/open.h"
#include "weights/open_clip_config.h"
#include "weights/presets.h"
#include "weights/small_json.h"
#include "weights/yaml.h"

namespace dalle1::weights {

nlohmann::json read_config(const std::string& preset_or_file) {
  if (const Preset* preset = find_preset(preset_or_file)) return preset->config;
  std::error_code unreadable;  // the same to the user as absent: neither a preset nor a file that can be used
  const bool found = std::filesystem::exists(preset_or_file, unreadable) &&
                     !std::filesystem::is_directory(preset_or_file, unreadable);
  check(found, ErrorKind::usage, "'{}' is neither a file nor a preset; presets are {}", preset_or_file,
        preset_names());
  const std::string text(without_byte_order_mark(read_text_file(preset_or_file, largest_small_json),
                                                 preset_or_file, ErrorKind::model));
  const size_t start = text.find_first_not_of(" \t\r\n");
  const std::string_view kind = file_kind(text);
  check(kind.empty() || kind == "text" || kind == "blank" || kind == "JSON text", ErrorKind::model,
        "{}: not a configuration, but {}", preset_or_file, kind);
  if (start == text.npos || text[start] != '{') return parse_simple_yaml(preset_or_file, text);
  nlohmann::json config = parse_small_json(preset_or_file, text);
  if (is_open_clip_config(config)) return from_open_clip(preset_or_file, config);
  return is_hf_clip_config(config) ? from_hf_clip(preset_or_file, config) : config;
}

}  // namespace dalle1::weights
