// Captions that are wrong by one word, and captions that say the same: what a contrastive batch has to know
// about its texts.
//
// The words that can take each other's place are given as classes by the training file: colours, counts,
// relations, garments. A caption is wrong about a picture once one of them is replaced by another of its
// class, or once two of them change places.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/config/fields.h"
#include "core/random/philox.h"

namespace dalle1::clip {

struct NearMiss {
  std::string caption;
  std::string what;  ///< The class, or "swapped " and the class.
};

class WordClasses {
 public:
  /// `classes`: {"colour": ["red", "light blue", ...], ...}. Members may be phrases; the longest that fits a
  /// place is taken. Error(input) for a class of fewer than two members or a phrase that comes twice.
  explicit WordClasses(const nlohmann::json& classes = nlohmann::json::object());

  bool empty() const { return names_.empty(); }
  const std::vector<std::string>& names() const { return names_; }

  /// A caption that differs by one replacement or one swap, drawn at random; nothing if no class is in it.
  std::optional<NearMiss> near_miss(std::string_view caption, RandomStream& random) const;
  /// One of each sort that the caption allows.
  std::vector<NearMiss> every_near_miss(std::string_view caption, RandomStream& random) const;

  struct Choice {
    std::string what;                   ///< The class.
    std::vector<std::string> captions;  ///< The right one first, then one for each other member.
  };
  /// For each class in the caption: all that its first member could have been.
  std::vector<Choice> choices(std::string_view caption) const;

  /// Each three members that follow one another in the caption, as one string; all of them when there are
  /// fewer. What combinations a caption says: {"red, circle, above, ", "circle, above, blue, ", ...}.
  std::vector<std::string> combinations(std::string_view caption) const;

  /// Which classes are in the caption: equal for captions of one kind.
  std::string kind_of(std::string_view caption) const;

 private:
  struct Member {
    size_t group, index;
  };
  struct Match {
    size_t first, count;  // words
    Member member;
  };
  std::vector<Match> matches(const std::vector<std::string>& words) const;
  std::optional<NearMiss> replaced(const std::vector<std::string>& words, const Match& match,
                                   RandomStream& random) const;
  std::optional<NearMiss> swapped(const std::vector<std::string>& words, const std::vector<Match>& found,
                                  size_t group, RandomStream& random) const;

  std::vector<std::string> names_;
  std::vector<std::vector<std::string>> members_;    // by class
  std::unordered_map<std::string, Member> phrases_;  // lower case, words joined by one space
  size_t longest_ = 0;                               // words of the longest phrase
};

inline void read_field(const nlohmann::json& json, WordClasses& classes, const config::Place&) {
  classes = WordClasses(json);
}

/// The different words of a caption, without the ignored ones ("a", "picture", ...), as sorted hashes.
class ContentWords {
 public:
  ContentWords(std::string_view caption, const std::vector<std::string>& ignored);
  /// Whether the words of one are a subset of the other's: then neither is evidence against the other.
  bool agrees_with(const ContentWords& other) const;

 private:
  std::vector<size_t> words_;
};

}  // namespace dalle1::clip
