// What CLIP and the captioner say of pictures and texts that a request brings: their order for a prompt,
// their features, captions.
#pragma once

#include "rerank/session.h"
#include "tools/serve/http/exchange.h"
#include "tools/serve/http/limits.h"

namespace dalle1::serve {

/// Fields of a form with pictures.
struct RankFields {
  std::string prompt, model, user;
  bool truncate = false;

  static void visit(auto& self, auto& field) {
    using namespace config;
    field("prompt", self.prompt, help("The text that the pictures should fit"));
    field("truncate", self.truncate, help("Cut a prompt that is too long for CLIP"));
    field("model", self.model, help("The model that is loaded, as /v1/models names it"));
    field("user", self.user, help("Not used"));
  }
};

/// Fields of JSON with texts, or of a form with pictures.
struct EmbeddingFields {
  std::vector<std::string> input;
  std::string model, user, encoding_format = "float";
  bool truncate = false;

  static void visit(auto& self, auto& field) {
    using namespace config;
    Rule texts = help("A text, or a list of up to 64");
    texts.one_or_list = true;
    field("input", self.input, texts);
    field("encoding_format", self.encoding_format,
          one_of({"float", "base64"}).with("base64: of little-endian f32"));
    field("truncate", self.truncate, help("Cut texts that are too long for CLIP"));
    field("model", self.model, help("The model that is loaded, as /v1/models names it"));
    field("user", self.user, help("Not used"));
  }
};

/// Fields of a form with pictures.
struct CaptionFields {
  int count = 1;
  double temperature = 0;
  uint64_t seed = 0;
  std::string model, user;

  static void visit(auto& self, auto& field) {
    using namespace config;
    field("count", self.count, within(1, 64).with("Captions of each picture"));
    field("temperature", self.temperature,
          at_least(0).with("Of the draws; 0 takes the likeliest word at each step"));
    field("seed", self.seed, help("Of the draws"));
    field("model", self.model, help("The model that is loaded, as /v1/models names it"));
    field("user", self.user, help("Not used"));
  }
};

/// {"object": "list", "data": [{"index", "cosine", "logit", "constant"}]}, the best picture first; those of
/// one colour last.
Response rank_answer(rerank::Session& session, const Limits& limits, const Request& request);
/// As OpenAI's: {"object": "list", "data": [{"object": "embedding", "index", "embedding"}]}, of length 1.
Response embeddings_answer(rerank::Session& session, const Limits& limits, const Request& request);

/// {"object": "list", "data": [{"index", "captions"}]} in the order of the pictures.
Response captions_answer(rerank::Session& session, const Limits& limits, const Request& request);

}  // namespace dalle1::serve
