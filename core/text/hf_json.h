// What readers of Hugging Face's tokenizer.json share.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dalle1::text {

/// A token that is found in a text as it is written, before anything else cuts it.
struct AddedToken {
  std::u32string content;
  int32_t id;
  bool normalised;  ///< Looked for in normalised text.
};

/// Calls `text` for what is between the tokens that are looked for in such text, the leftmost first and of
/// several the longest, and appends their ids to `out`.
void split_at_added(std::span<const AddedToken> tokens, std::u32string_view whole, bool normalised,
                    std::vector<int32_t>& out, const std::function<void(std::u32string_view)>& text);

/// Error(model) that names `name` unless it is JSON of a tokenizer's size and depth.
nlohmann::json parse_tokenizer_json(std::string_view text, const std::string& name);

/// "left right", or both in a list.
std::pair<std::string, std::string> pieces_of_merge(const nlohmann::json& merge, const std::string& name);

/// The member "added_tokens" of a document. Error(model) for tokens that take spaces with them and ids that
/// are no whole numbers.
std::vector<AddedToken> added_tokens_of(const nlohmann::json& document, const std::string& name);

}  // namespace dalle1::text
