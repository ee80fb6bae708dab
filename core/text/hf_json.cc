#include "core/text/hf_json.h"

#include "core/error.h"
#include "core/text/utf8.h"

namespace dalle1::text {
namespace {

using nlohmann::json;

constexpr size_t most_json_bytes = 16 << 20;
constexpr int deepest_json = 16;
constexpr size_t most_added_tokens = 64;

}  // namespace

void split_at_added(std::span<const AddedToken> tokens, std::u32string_view whole, bool normalised,
                    std::vector<int32_t>& out, const std::function<void(std::u32string_view)>& text) {
  while (!whole.empty()) {
    const AddedToken* found = nullptr;
    size_t place = whole.npos;
    for (const AddedToken& token : tokens) {
      if (token.normalised != normalised) continue;
      const size_t at = whole.find(token.content);
      if (at == whole.npos || at > place) continue;
      if (at == place && found->content.size() >= token.content.size()) continue;
      found = &token;
      place = at;
    }
    text(whole.substr(0, place));
    if (!found) return;
    out.push_back(found->id);
    whole.remove_prefix(place + found->content.size());
  }
}

json parse_tokenizer_json(std::string_view text, const std::string& name) {
  check(text.size() <= most_json_bytes, ErrorKind::model, "{}: {} bytes of JSON; a tokenizer has at most {}",
        name, text.size(), most_json_bytes);
  const auto limit = [&](int depth, json::parse_event_t, json&) {
    check(depth <= deepest_json, ErrorKind::model, "{}: JSON nested deeper than {}", name, deepest_json);
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), limit);
  } catch (const json::exception&) {
    fail(ErrorKind::model, "{}: not JSON", name);
  }
}

std::pair<std::string, std::string> pieces_of_merge(const json& merge, const std::string& name) {
  constexpr const char* problem = "{}: a merge is no pair of pieces";
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const size_t gap = text.find(' ');
    check(gap != text.npos && gap > 0 && gap + 1 < text.size() && text.find(' ', gap + 1) == text.npos,
          ErrorKind::model, problem, name);
    return {text.substr(0, gap), text.substr(gap + 1)};
  }
  check(merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string(),
        ErrorKind::model, problem, name);
  return {merge[0].get<std::string>(), merge[1].get<std::string>()};
}

std::vector<AddedToken> added_tokens_of(const json& document, const std::string& name) {
  const auto require = [&](bool condition, std::string_view problem) {
    check(condition, ErrorKind::model, "{}: {}", name, problem);
  };
  std::vector<AddedToken> tokens;
  const json added = document.value("added_tokens", json::array());
  require(added.is_array() && added.size() <= most_added_tokens,
          "its added tokens are no list of at most 64");
  for (const json& token : added) {
    require(token.is_object() && token.value("content", json()).is_string(), "an added token has no text");
    for (const char* field : {"lstrip", "rstrip", "single_word"})
      require(token.value(field, json(false)) == false, "an added token takes spaces with it");
    const auto& content = token["content"].get_ref<const std::string&>();
    const json id = token.value("id", json());
    require(!content.empty() && id.is_number_unsigned() && id.get<uint64_t>() <= INT32_MAX,
            "an added token has no id");
    tokens.push_back(
        {to_code_points_lossy(content), id.get<int32_t>(), token.value("normalized", json(false)) == true});
  }
  return tokens;
}

}  // namespace dalle1::text
