#include "clip/word_classes.h"

#include <algorithm>
#include <functional>

#include "core/error.h"

namespace dalle1::clip {
namespace {

// Words with the punctuation that follows them, lower case.
std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c == ' ') {
      if (!words.back().empty()) words.emplace_back();
    } else {
      words.back() += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

std::string_view tail_of(std::string_view word) {
  const size_t end = word.find_last_not_of(".,;:!?");
  return word.substr(end == std::string_view::npos ? 0 : end + 1);
}

std::string_view bare(std::string_view word) { return word.substr(0, word.size() - tail_of(word).size()); }

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) {
    if (!text.empty()) text += ' ';
    text += word;
  }
  return text;
}

bool starts_with_vowel(std::string_view word) {
  return !word.empty() && std::string_view("aeiou").find(word[0]) != std::string_view::npos &&
         !word.starts_with("uni") && !word.starts_with("one") && !word.starts_with("ufo");
}

void mend(std::vector<std::string>& words) {
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "a" || words[i] == "an") words[i] = starts_with_vowel(words[i + 1]) ? "an" : "a";
  }
}

}  // namespace

WordClasses::WordClasses(const nlohmann::json& classes) {
  check(classes.is_object(), ErrorKind::input, "'train.word_classes' must be an object of lists");
  for (const auto& [name, list] : classes.items()) {
    check(list.is_array() && list.size() >= 2, ErrorKind::input,
          "'train.word_classes.{}' must be a list of two words or more", name);
    names_.push_back(name);
    auto& members = members_.emplace_back();
    for (const auto& item : list) {
      check(item.is_string() && !split(item.get<std::string>()).empty(), ErrorKind::input,
            "'train.word_classes.{}' has an entry that is no word: {}", name, item.dump());
      const auto words = split(item.get<std::string>());
      longest_ = std::max(longest_, words.size());
      const Member place{names_.size() - 1, members.size()};
      members.push_back(joined(words));
      check(phrases_.emplace(members.back(), place).second, ErrorKind::input,
            "'train.word_classes': '{}' comes twice", members.back());
    }
  }
}

// The longest phrases, from the left, without overlap. Punctuation may only follow the last word of a phrase.
std::vector<WordClasses::Match> WordClasses::matches(const std::vector<std::string>& words) const {
  std::vector<Match> found;
  for (size_t first = 0; first < words.size();) {
    std::string phrase;
    size_t taken = 0;
    for (size_t count = 1; count <= longest_ && first + count <= words.size(); ++count) {
      const std::string& word = words[first + count - 1];
      if (count > 1) phrase += ' ';
      phrase += bare(word);
      const auto member = phrases_.find(phrase);
      if (member != phrases_.end()) {
        if (taken > 0) found.pop_back();
        found.push_back({first, count, member->second});
        taken = count;
      }
      if (!tail_of(word).empty()) break;
    }
    first += std::max<size_t>(taken, 1);
  }
  return found;
}

namespace {

// `words` with the phrase at [first, first + count) replaced, its punctuation kept.
std::vector<std::string> with_phrase(const std::vector<std::string>& words, size_t first, size_t count,
                                     const std::string& phrase) {
  std::vector<std::string> result(words.begin(), words.begin() + static_cast<int64_t>(first));
  result.push_back(phrase + std::string(tail_of(words[first + count - 1])));
  result.insert(result.end(), words.begin() + static_cast<int64_t>(first + count), words.end());
  mend(result);
  return result;
}

}  // namespace

std::optional<NearMiss> WordClasses::replaced(const std::vector<std::string>& words, const Match& match,
                                              RandomStream& random) const {
  const auto& members = members_[match.member.group];
  size_t other = random.below(static_cast<uint32_t>(members.size() - 1));
  other += other >= match.member.index;
  return NearMiss{joined(with_phrase(words, match.first, match.count, members[other])),
                  names_[match.member.group]};
}

std::optional<NearMiss> WordClasses::swapped(const std::vector<std::string>& words,
                                             const std::vector<Match>& found, size_t group,
                                             RandomStream& random) const {
  std::vector<std::pair<Match, Match>> pairs;
  for (size_t i = 0; i < found.size(); ++i) {
    for (size_t j = i + 1; j < found.size(); ++j) {
      const bool same_class = found[i].member.group == group && found[j].member.group == group;
      if (same_class && found[i].member.index != found[j].member.index)
        pairs.emplace_back(found[i], found[j]);
    }
  }
  if (pairs.empty()) return std::nullopt;
  const auto& [left, right] = pairs[random.below(static_cast<uint32_t>(pairs.size()))];
  const auto& members = members_[group];
  auto result = with_phrase(words, right.first, right.count, members[left.member.index]);
  result = with_phrase(result, left.first, left.count, members[right.member.index]);
  return NearMiss{joined(result), "swapped " + names_[group]};
}

// A class is drawn first, so that a caption of many colours is not only ever wrong about colours.
std::optional<NearMiss> WordClasses::near_miss(std::string_view caption, RandomStream& random) const {
  const auto words = split(caption);
  const auto found = matches(words);
  if (found.empty()) return std::nullopt;
  std::vector<size_t> groups;
  for (const Match& match : found) {
    if (std::find(groups.begin(), groups.end(), match.member.group) == groups.end())
      groups.push_back(match.member.group);
  }
  const size_t group = groups[random.below(static_cast<uint32_t>(groups.size()))];
  if (random.uniform() < 0.5f) {
    if (auto swap = swapped(words, found, group, random)) return swap;
  }
  std::vector<Match> of_group;
  std::copy_if(found.begin(), found.end(), std::back_inserter(of_group),
               [&](const Match& match) { return match.member.group == group; });
  return replaced(words, of_group[random.below(static_cast<uint32_t>(of_group.size()))], random);
}

std::vector<NearMiss> WordClasses::every_near_miss(std::string_view caption, RandomStream& random) const {
  const auto words = split(caption);
  const auto found = matches(words);
  std::vector<NearMiss> all;
  for (size_t group = 0; group < names_.size(); ++group) {
    const auto match = std::find_if(found.begin(), found.end(),
                                    [&](const Match& each) { return each.member.group == group; });
    if (match == found.end()) continue;
    all.push_back(*replaced(words, *match, random));
    if (auto swap = swapped(words, found, group, random)) all.push_back(*swap);
  }
  return all;
}

std::vector<WordClasses::Choice> WordClasses::choices(std::string_view caption) const {
  const auto words = split(caption);
  std::vector<Choice> all;
  std::vector<bool> seen(names_.size());
  for (const Match& match : matches(words)) {
    if (seen[match.member.group]) continue;
    seen[match.member.group] = true;
    Choice& choice = all.emplace_back();
    choice.what = names_[match.member.group];
    choice.captions.push_back(joined(words));
    const auto& members = members_[match.member.group];
    for (size_t i = 0; i < members.size(); ++i) {
      if (i == match.member.index) continue;
      choice.captions.push_back(joined(with_phrase(words, match.first, match.count, members[i])));
    }
  }
  return all;
}

std::vector<std::string> WordClasses::combinations(std::string_view caption) const {
  constexpr size_t kTogether = 3;  // animal, colour, garment
  const auto words = split(caption);
  const auto found = matches(words);
  std::vector<std::string> all;
  for (size_t begin = 0; begin == 0 || begin + kTogether <= found.size(); ++begin) {
    std::string& combination = all.emplace_back();
    for (size_t i = begin; i < std::min(begin + kTogether, found.size()); ++i)
      combination += members_[found[i].member.group][found[i].member.index] + ", ";
  }
  return all;
}

std::string WordClasses::kind_of(std::string_view caption) const {
  std::string kind(names_.size(), '-');
  for (const Match& match : matches(split(caption))) kind[match.member.group] = '+';
  return kind;
}

ContentWords::ContentWords(std::string_view caption, const std::vector<std::string>& ignored) {
  for (const auto& word : split(caption)) {
    const std::string_view content = bare(word);
    if (content.empty() || std::find(ignored.begin(), ignored.end(), content) != ignored.end()) continue;
    words_.push_back(std::hash<std::string_view>()(content));
  }
  std::sort(words_.begin(), words_.end());
  words_.erase(std::unique(words_.begin(), words_.end()), words_.end());
}

bool ContentWords::agrees_with(const ContentWords& other) const {
  const auto& a = words_;
  const auto& b = other.words_;
  return std::includes(a.begin(), a.end(), b.begin(), b.end()) ||
         std::includes(b.begin(), b.end(), a.begin(), a.end());
}

}  // namespace dalle1::clip
