// Captions out of the bytes of text files and of JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dalle1 {

/// The caption in a text: without a byte order mark and without the white space around it. Error(input) that
/// begins with `name` when the bytes are not UTF-8 (the first bad byte is told) or are UTF-16.
std::string caption_of_text(std::string_view bytes, std::string_view name);

/// A JSON object, of a line or of a whole file. NaN, Infinity and -Infinity, which Python writes for numbers
/// that are missing, become empty lists. Error(input) that begins with `name`: not UTF-8, half a surrogate
/// pair (which escape, at which column), an array, not JSON (at which column).
nlohmann::json parse_json_object(std::string_view bytes, std::string_view name);

/// The captions of a row, under "caption" or "text": one text or a list of them, without the white space
/// around them; blank ones, null and NaN count as none. Nothing when the row has neither key. Error(input)
/// that begins with `name` for anything else.
std::optional<std::vector<std::string>> captions_of(const nlohmann::json& row, std::string_view name);

/// The path of the picture of a row, under "image" or "file_name"; empty when there is none.
std::string picture_path_of(const nlohmann::json& row);

}  // namespace dalle1
