// How well a CLIP tells held-out pictures and captions apart.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "clip/clip.h"
#include "clip/word_classes.h"
#include "core/data/pair_reader.h"
#include "core/image/image.h"
#include "core/text/tokenizer.h"

namespace dalle1::clip {

struct HeldOutPair {
  Image picture;  ///< At the model's resolution.
  std::string caption;
};

/// `count` pairs spread evenly over the source of an unshuffled reader, in its order. For a broken one the
/// next before the place of the following pair is taken; where there is none, it is one pair less.
std::vector<HeldOutPair> read_held_out(PairReader& reader, int64_t count, int64_t resolution);

/// Shares, as a flat object. Texts that agree with the right one (ContentWords) never count against it.
///   recall_1, recall_5            the right caption of a picture among `group`
///   recall_1_hard                 the right caption among `group` and its own near misses
///   picture_recall_1, .._5        the right picture of a caption among `group`
///   near_miss                     right against a caption that is wrong by one class
///   near_miss_CLASS               the same by class ("colour", "swapped colour")
///   zero_shot                     right among all that a word of a class could be
///   zero_shot_CLASS
class Evaluation {
 public:
  Evaluation(std::vector<HeldOutPair> pairs, const WordClasses& classes,
             const std::vector<std::string>& ignored, int64_t group, uint64_t seed);
  nlohmann::json run(Clip& clip, Device& device, const text::Tokenizer& tokenizer) const;

 private:
  struct Question {
    size_t pair;
    std::string what;
    std::vector<std::string> captions;  // the right one first
  };
  /// `confused`: [pairs] whether one of its near misses scores as high as the caption.
  void recall(const Tensor& images, const Tensor& captions, const std::vector<bool>& confused,
              nlohmann::json& row) const;
  /// Whether each question is answered right; its shares go into `row`.
  static std::vector<bool> answer(const std::vector<Question>& questions, const std::string& name,
                                  const std::vector<float>& images, Clip& clip, Device& device,
                                  const text::Tokenizer& tokenizer, nlohmann::json& row);

  std::vector<HeldOutPair> pairs_;
  std::vector<ContentWords> words_;
  size_t group_;
  std::vector<Question> near_misses_, choices_;
};

}  // namespace dalle1::clip
