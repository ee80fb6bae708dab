// dalle1 logits: what the transformer computes for given ids, for comparison with other programs.
#include <fmt/format.h>

#include "core/data/npy.h"
#include "core/io/text_file.h"
#include "core/json.h"
#include "core/ops/movement.h"
#include "core/text/number.h"
#include "tools/models/transformer_model.h"
#include "tools/program/command.h"
#include "transformer/decoder.h"

namespace dalle1::tools {
namespace {

using namespace transformer;

struct LogitsOptions {
  std::string ids, out, tokens_out, forced, kv_dtype = "auto";
  int greedy = 0;
  bool cached = false;
};

// Text slots (0 stands for padding) and image tokens of each row.
struct Ids {
  int64_t batch = 0, cells = 0;
  std::vector<int64_t> text, image;  // [B, text_length], [B, cells]

  std::span<const int64_t> text_of(int64_t b) const {
    const size_t length = text.size() / static_cast<size_t>(batch);
    return std::span(text).subspan(static_cast<size_t>(b) * length, length);
  }
  std::span<const int64_t> image_of(int64_t b) const {
    return std::span(image).subspan(static_cast<size_t>(b * cells), static_cast<size_t>(cells));
  }
};

Ids read_ids(const std::string& path, const TransformerConfig& config) {
  const NpyArray array = read_npy(path);
  check(array.shape.size() == 2 && array.shape[0] > 0 && array.shape[1] >= config.text_length &&
            array.shape[1] <= config.text_length + config.cells(),
        ErrorKind::input, "{}: ids must be [B, T] with T from {} (text) to {} (text and image)", path,
        config.text_length, config.text_length + config.cells());
  const auto values = array.to_i64();
  Ids ids;
  ids.batch = array.shape[0];
  ids.cells = array.shape[1] - config.text_length;
  for (int64_t b = 0; b < ids.batch; ++b) {
    for (int64_t p = 0; p < array.shape[1]; ++p) {
      const int64_t id = values[b * array.shape[1] + p];
      const bool in_text = p < config.text_length;
      check(id >= 0 && id < (in_text ? config.text_classes() : config.image_vocab), ErrorKind::input,
            "{}: id {} at row {}, position {} is outside the vocabulary", path, id, b, p);
      if (in_text) {
        ids.text.push_back(id == 0 ? config.padding_token(static_cast<int32_t>(p)) : id);
      } else {
        ids.image.push_back(id);
      }
    }
  }
  return ids;
}

// Logits of one row of ids over all classes, [T, classes], by one pass over everything.
Tensor whole_logits(Context& context, const Transformer& model, std::span<const int64_t> text,
                    std::span<const int64_t> image, const std::shared_ptr<Sequence>& sequence) {
  const auto length = static_cast<int64_t>(text.size()), cells = static_cast<int64_t>(image.size());
  const Tensor ids = Tensor::from(model.device(), {1, length}, text);
  const Tensor picture = cells ? Tensor::from(model.device(), {1, cells}, image) : Tensor();
  const Tensor hidden = model.trunk(context, model.embed(context, ids, picture), sequence);
  return model.logits(context, hidden.view({hidden.dim(1), hidden.dim(2)}));
}

// The same with the image positions one by one through the caches of decoding.
Tensor cached_logits(Context& context, const Transformer& model, std::span<const int64_t> text,
                     std::span<const int64_t> image, CacheType kept_as) {
  const TransformerConfig& config = model.config();
  const auto patterns = layer_patterns(config, config.text_length);
  const Rotations rotations = model.rotations(config.text_length);
  const auto prefill = std::make_shared<PrefillSequence>(patterns, config.heads, rotations);
  std::vector<Tensor> rows{whole_logits(context, model, text, {}, prefill)};
  const auto layers = prefill->take();
  const int32_t before = config.sequence(config.text_length).grid().begin;
  const auto sequence = std::make_shared<CachedSequence>(
      model.device(), plan_slots(patterns, before, before + static_cast<int32_t>(image.size())),
      std::vector<std::span<const LayerPrefix>>{layers}, 1, kept_as);
  const Tensor places = model.places(context, config.cells());
  for (int32_t cell = 0; cell < static_cast<int32_t>(image.size()); ++cell) {
    sequence->seek(before + cell);
    if (rotations.defined()) sequence->turn(rotations.rows(before + cell, before + cell + 1));
    const Tensor token = Tensor::from(model.device(), {1}, image.subspan(static_cast<size_t>(cell), 1));
    const Tensor hidden =
        model.trunk(context, model.embed_at(context, token, places.rows(cell, cell + 1)), sequence);
    rows.push_back(model.logits(context, hidden));
  }
  return ops::concat(context, rows, 0);
}

void write_logits(const LogitsOptions& options, Context& context, const Transformer& model, const Ids& ids,
                  CacheType kept_as) {
  const TransformerConfig& config = model.config();
  std::vector<float> all;
  int64_t rows = 0;
  for (int64_t b = 0; b < ids.batch; ++b) {
    auto image = ids.image_of(b);
    if (config.prepended() && ids.cells == config.cells()) image = image.first(image.size() - 1);
    const auto sequence = whole_sequence(model, config.text_length);
    const Tensor logits = options.cached ? cached_logits(context, model, ids.text_of(b), image, kept_as)
                                         : whole_logits(context, model, ids.text_of(b), image, sequence);
    const auto values = logits.to_floats();
    all.insert(all.end(), values.begin(), values.end());
    rows = logits.dim(0);
  }
  write_npy(options.out, {ids.batch, rows, config.classes()}, all);
}

// {"cell": token}.
std::vector<int64_t> read_forced(const std::string& path, const TransformerConfig& config) {
  std::vector<int64_t> forced(config.cells(), -1);
  const auto json = parse_json(read_text(path), path);
  check(json.is_object(), ErrorKind::input, "{}: not a JSON object of cells and tokens", path);
  for (const auto& [key, token] : json.items()) {
    const int64_t cell = text::parse_number<int64_t>(key).value_or(-1);
    check(cell >= 0 && cell < config.cells() && token.is_number_integer(), ErrorKind::input,
          "{}: '{}': {} is no cell of the grid with a token", path, key, token.dump());
    forced[cell] = value_of<int64_t>(token, key);
  }
  return forced;
}

void write_greedy(const LogitsOptions& options, Context& context, const Transformer& model, const Ids& ids) {
  const TransformerConfig& config = model.config();
  check(options.greedy <= config.cells(), ErrorKind::usage, "--greedy {}: the grid has {} cells",
        options.greedy, config.cells());
  std::vector<int64_t> all;
  for (int64_t b = 0; b < ids.batch; ++b) {
    DecodeRequest request;
    request.text.assign(ids.text_of(b).begin(), ids.text_of(b).end());
    request.sampling.rule.temperature = 0;
    if (!options.forced.empty()) request.forced = read_forced(options.forced, config);
    Decoder decoder(context, model, request);
    Decoder::Hooks hooks;
    hooks.progress = [&](int32_t cells) { return cells < options.greedy; };
    const uint32_t candidate = 0;
    const auto decoded = decoder.decode(std::span(&candidate, 1), hooks);
    all.insert(all.end(), decoded.tokens.begin(), decoded.tokens.begin() + options.greedy);
  }
  write_npy(options.tokens_out, {ids.batch, options.greedy}, all);
}

int run_logits(const LogitsOptions& options, const CommonOptions& common) {
  check(!options.out.empty() || options.greedy > 0, ErrorKind::usage,
        "nothing to do: give --out FILE for logits, or --greedy N with --tokens-out FILE");
  check((options.greedy > 0) == !options.tokens_out.empty(), ErrorKind::usage,
        "--greedy N and --tokens-out FILE need each other");
  const auto device = open_device(common);
  const auto model = open_transformer(common, *device);
  const Ids ids = read_ids(options.ids, model->config());
  Context context(*device);
  const std::string kv_dtype = kv_dtype_of(options.kv_dtype, precision_name_of(common, *device), *device);
  if (!options.out.empty()) write_logits(options, context, *model, ids, cache_type_from_name(kv_dtype));
  if (options.greedy > 0) write_greedy(options, context, *model, ids);
  for (const auto& file : {options.out, options.tokens_out}) {
    if (!file.empty() && !common.json) fmt::print("{}\n", file);
  }
  if (common.json)
    fmt::print("{}\n", json_text({{"logits", options.out}, {"tokens", options.tokens_out}}, -1));
  return 0;
}

}  // namespace

Command logits_command() {
  return {"logits", "The transformer's logits or greedy tokens for given ids",
          "dalle1 logits --ids ids.npy --out logits.npy\n"
          "dalle1 logits --ids ids.npy --greedy 64 --tokens-out tokens.npy",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<LogitsOptions>();
            add_model_options(app, common);
            app.add_option("--ids", options->ids, "int64 [B, T]: text slots (0: padding), then image tokens")
                ->required();
            app.add_option("--out", options->out, "Where the logits go: f32 [B, T, classes]");
            app.add_flag("--cached", options->cached, "Image positions one by one, as decoding does it");
            app.add_option("--kv-dtype", options->kv_dtype,
                           "How --cached keeps keys and values: f32, bf16, or auto, as decoding does it")
                ->check(CLI::IsMember({"auto", "f32", "bf16"}))
                ->capture_default_str();
            app.add_option("--greedy", options->greedy, "So many greedy image tokens after the text")
                ->check(CLI::PositiveNumber);
            app.add_option("--tokens-out", options->tokens_out, "Where they go: int64 [B, N]");
            app.add_option("--forced", options->forced,
                           "JSON of cells whose tokens are given: {\"0\": 17, ...}");
            return [options, &common] { return run_logits(*options, common); };
          }};
}

}  // namespace dalle1::tools
