// Small JSON documents from files that may be hostile: model.json, indexes, configurations.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace dalle1::weights {

constexpr uint64_t largest_small_json = 1 << 20;  ///< Bytes; parsed JSON can take 50 times its text.
constexpr int deepest_json = 32;
constexpr size_t longest_tensor_name = 1024;

/// Parses with a limit on depth; Error(model) with the line and column where the text is not
/// JSON.
nlohmann::json parse_small_json(const std::string& name, std::string_view text);

/// True for a name without folders: not empty, not "." or "..", no slash, no NUL.
bool is_plain_file_name(std::string_view name);

bool is_utf8(std::string_view text);

/// `text` made fit for one line of a message: control and non-ASCII bytes escaped, at most 80 characters.
std::string printable(std::string_view text);

}  // namespace dalle1::weights
