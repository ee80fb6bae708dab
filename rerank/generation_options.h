// What a request for pictures says: the same fields are options of the command line, members of run.json and
// of a JSON request, and texts in the pictures.
#pragma once

#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "core/config/fields.h"
#include "rerank/results.h"

namespace dalle1::rerank {

struct GenerationOptions {
  static constexpr int most = 1000000;  ///< Candidates, pictures kept, ...

  std::string prompt;
  int candidates = 512;
  int keep = 32;
  uint64_t seed = 0;
  double temperature = 1.0;
  int top_k = 0;
  /// 1: off, as in the paper. Flat art needs the tail: a shape begins with a token that is rare on its
  /// background.
  double top_p = 1.0;
  double guidance = 1.0;        ///< u + s (c - u)
  std::string negative;         ///< The prompt of u; empty: no text at all.
  std::string scorer = "clip";  ///< See parse_scorer().
  int prune = 0;
  std::vector<uint32_t> only;
  bool truncate = false;
  bool no_metadata = false;
  int batch = 0;
  std::string kv_dtype = "auto";  ///< See transformer::CacheType.

  /// How tokens are drawn, and by what candidates are ranked: a model may advise them.
  static void visit_sampling(auto& self, auto& field) {
    field("temperature", self.temperature, config::within(0, 100).with("Below 1: safer; 0: greedy"));
    field("top_k", self.top_k, config::within(0, 1 << 24).with("Only the k most likely tokens; 0: all"));
    field("top_p", self.top_p,
          config::above(0, 1).with("Only the most likely tokens that hold this probability; 1: all"));
    field(
        "guidance", self.guidance,
        config::within(0, 100).with("Classifier-free guidance u + s (c - u); 1: off; else doubles the cost"));
  }

  static void visit_judging(auto& self, auto& field) {
    field("scorer", self.scorer,
          config::help(
              "clip, likelihood, likelihood-ratio, caption, caption-ratio, or a sum: clip=1,caption=0.02"));
    field("prune", self.prune,
          config::within(0, most).with("Decode only so many, the best by what the scorer tells from tokens; "
                                       "0: all. CLIP sees no others"));
  }

  static void visit(auto& self, auto& field) {
    field("prompt", self.prompt, config::help("What to draw"));
    field("candidates", self.candidates, config::within(1, most).with("Pictures to sample"));
    field("keep", self.keep,
          config::within(1, most).with("Pictures to keep, the best ones; the sheet shows the first 128"));
    field("seed", self.seed, config::help("Another seed, other pictures; 0 to 2^64 - 1"));
    visit_sampling(self, field);
    field("negative", self.negative, config::help("What guidance leads away from; needs guidance"));
    visit_judging(self, field);
    field("only", self.only,
          config::within(0, std::numeric_limits<uint32_t>::max()).with("Only these candidates: 417,3"));
    field("truncate", self.truncate, config::help("Cut prompts that are too long instead of refusing them"));
    field("no_metadata", self.no_metadata, config::help("Pictures without any text in them"));
    field("batch", self.batch,
          config::within(0, most).with("Candidates decoded together (a wave); 0: automatic"));
    field(
        "kv_dtype", self.kv_dtype,
        config::one_of({"auto", "f32", "bf16", "fp8", "mixed"})
            .with(
                "Cached keys and values: f32, bf16; on a GPU also fp8, mixed (fp8 in column and dense "
                "layers, "
                "bf16 in others); auto: on a CPU bf16 with int8, else f32, on a GPU the first of bf16, mixed "
                "and fp8 with which a wave fits"));
  }

  bool guided() const { return guidance != 1.0; }
  /// 0, 1, ..., candidates - 1, or those of `only`, ascending.
  std::vector<uint32_t> candidate_indices() const;
  /// What changes the result: all but `batch` and `kv_dtype`, which do so only on some devices.
  Json result_options() const;
};

/// How tokens are drawn, as a configuration of its own: what pictures tell of how they came about. Not by
/// what they were ranked, of which their bytes are independent.
struct DrawingOptions : GenerationOptions {
  static void visit(auto& self, auto& field) { visit_sampling(self, field); }
};

/// The fields that a model may advise, as a configuration of their own.
struct AdvisedOptions : GenerationOptions {
  static void visit(auto& self, auto& field) {
    visit_sampling(self, field);
    visit_judging(self, field);
  }
};

/// A JSON request: absent fields keep their defaults. Error(input) names what is unknown or wrong.
GenerationOptions generation_options_from_json(const nlohmann::json& json);

/// Takes the fields of `advice` ({"guidance": 2, ...}, weights::ModelDir::sampling) but for those in `given`,
/// which the user chose, and "precision". "prune" belongs to the advised scorer and is left alone with
/// another one; it is raised to what is kept. Returns the names of those taken. Error(model) where the advice
/// is about something else or out of range.
std::vector<std::string> take_advice(GenerationOptions& options, const nlohmann::json& advice,
                                     const std::set<std::string>& given = {});

/// What the fields cannot say one by one: Error(usage) for a scorer that does not exist, for a negative
/// prompt without guidance, and as check_pruning().
void validate(const GenerationOptions& options);
/// Error(usage) where fewer pictures are decoded than kept, or nothing can tell which.
void check_pruning(const GenerationOptions& options);

}  // namespace dalle1::rerank
