// dalle1 convert: any readable checkpoint to a native model directory.
#include <fmt/format.h>

#include "core/text/tokenizer.h"
#include "tools/commands/part_shapes.h"
#include "tools/models/models.h"
#include "tools/program/command.h"
#include "tools/program/output_folder.h"
#include "weights/describe.h"
#include "weights/hub_dir.h"
#include "weights/model_dir.h"
#include "weights/open.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

struct ConvertOptions {
  std::vector<std::string> paths;
  std::string out, dtype, name, licence;
  bool overwrite = false;
};

struct InputTokenizer {
  weights::TokenizerFile file;
  std::string text;  // instead of what is in the file; or empty
};

struct Inputs {
  std::vector<fs::path> checkpoints;
  std::map<std::string, InputTokenizer> tokenizers;  // by "tokenizer" and "clip_tokenizer"
  std::string name, licence = "as its source";
  nlohmann::json provenance = nlohmann::json::object(), sampling = nlohmann::json::object();
};

void add_tokenizer(Inputs& inputs, const std::string& key, const weights::TokenizerFile& file,
                   const std::string& text = "") {
  const auto [found, fresh] = inputs.tokenizers.emplace(key, InputTokenizer{file, text});
  check(fresh, ErrorKind::model, "{} and {} are both a {}", found->second.file.path.string(),
        file.path.string(), key);
}

bool is_clip_kind(std::string_view kind) { return kind == "clip_bpe" || kind == "hf_clip_bpe"; }

bool add_if_tokenizer(Inputs& inputs, const fs::path& path) {
  try {
    const std::string kind(text::open_tokenizer(path)->kind());
    add_tokenizer(inputs, is_clip_kind(kind) ? "clip_tokenizer" : "tokenizer", {kind, path});
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::model) throw;
    return false;  // a checkpoint then, or its reader says what is wrong
  }
}

void add_record(nlohmann::json& files, const fs::path& path) {
  const auto described = weights::describe_file(path);
  files.push_back(
      {{"file", path.filename().string()}, {"bytes", described["bytes"]}, {"sha256", described["sha256"]}});
}

void add_hub(Inputs& inputs, const weights::HubDir& hub, nlohmann::json& files) {
  if (!hub.tokenizer.empty())
    add_tokenizer(inputs, "clip_tokenizer", {"hf_clip_bpe", hub.tokenizer.front()},
                  weights::tokenizer_text(hub));
  for (const fs::path& file : weights::files_of(hub)) add_record(files, file);
}

Inputs sort_inputs(const ConvertOptions& options) {
  Inputs inputs;
  nlohmann::json files = nlohmann::json::array();
  for (const fs::path path : options.paths) {
    if (weights::is_model_dir(path)) {
      const auto model = weights::read_model_dir(path, true);
      inputs.name = model.name;
      inputs.licence = model.licence;
      inputs.sampling.update(model.sampling);
      inputs.provenance = model.document.value("provenance", nlohmann::json::object());
      if (model.tokenizer) add_tokenizer(inputs, "tokenizer", *model.tokenizer);
      if (model.clip_tokenizer) add_tokenizer(inputs, "clip_tokenizer", *model.clip_tokenizer);
      inputs.checkpoints.push_back(path);
      continue;
    }
    if (const auto hub = weights::find_hub_dir(path)) {
      inputs.checkpoints.push_back(path);
      add_hub(inputs, *hub, files);
      continue;
    }
    if (!add_if_tokenizer(inputs, path)) inputs.checkpoints.push_back(path);
    add_record(files, path);
  }
  if (!files.empty()) inputs.provenance["converted_from"] = std::move(files);
  return inputs;
}

std::string tokenizer_file_name(const std::string& key, const weights::TokenizerFile& file) {
  if (file.kind == "sentencepiece") return key == "clip_tokenizer" ? "clip_text.model" : "text.model";
  if (file.kind == "yttm") return "bpe.model";
  if (file.kind == "hf_clip_bpe" || file.kind == "hf_bpe") return "tokenizer.json";
  return file.path.extension() == ".gz" ? "clip_bpe.txt.gz" : "clip_bpe.txt";
}

int convert(const ConvertOptions& options, const CommonOptions& common) {
  std::optional<DType> dtype;
  if (!options.dtype.empty()) dtype = dtype_from_name(options.dtype);
  std::error_code absent;  // a folder that is not there yet is empty
  check(options.overwrite || !fs::exists(options.out, absent) || fs::is_empty(options.out, absent),
        ErrorKind::usage, "{} is not empty; choose another --out or add --overwrite", options.out);
  Inputs inputs = sort_inputs(options);
  const auto parts = open_parts(common, inputs.checkpoints);
  check(!parts.empty(), ErrorKind::model, "no checkpoint among the inputs");
  for (const auto& [name, part] : parts) check_part(part);
  if (!parts.contains("clip") && parts.contains("transformer") && !inputs.tokenizers.contains("tokenizer"))
    if (auto clips = inputs.tokenizers.extract("clip_tokenizer")) {  // the transformer's, by CLIP's rules
      clips.key() = "tokenizer";
      inputs.tokenizers.insert(std::move(clips));
    }
  if (const auto found = parts.find("transformer");
      found != parts.end() && !inputs.tokenizers.contains("tokenizer"))
    if (const auto usual = usual_tokenizer_of(found->second))
      add_tokenizer(inputs, "tokenizer", {"clip_bpe", *usual});

  const fs::path out = fs::path(options.out).lexically_normal();
  const std::string folder = (out.has_filename() ? out : out.parent_path()).filename().string();
  const std::string name = !options.name.empty() ? options.name : !inputs.name.empty() ? inputs.name : folder;
  const FolderLock lock =
      make_output_folder(common, options.out, options.overwrite, "choose another --out or add --overwrite");
  weights::ModelDirWriter writer(options.out, name,
                                 options.licence.empty() ? inputs.licence : options.licence);
  writer.set_provenance(inputs.provenance);
  writer.set_sampling(inputs.sampling);
  nlohmann::ordered_json written = {{"out", options.out}, {"parts", nlohmann::ordered_json::object()}};
  for (const auto& [key, part] : parts) {
    writer.add(part, dtype);
    written["parts"][key] = {{"format", part.format},
                             {"parameters", part.parameter_count()},
                             {"bytes", fs::file_size(fs::path(options.out) / (key + ".safetensors"))}};
  }
  for (const auto& [key, tokenizer] : inputs.tokenizers) {
    const std::string file_name = tokenizer_file_name(key, tokenizer.file);
    if (tokenizer.text.empty())
      writer.add_tokenizer(key, tokenizer.file, file_name);
    else
      writer.add_tokenizer(key, tokenizer.file.kind, tokenizer.text, file_name);
  }
  writer.commit();
  if (common.json)
    fmt::print("{}\n", json_text(written));
  else
    fmt::print("{}\n", options.out);
  return 0;
}

}  // namespace

Command convert_command() {
  return {"convert", "Turn any readable checkpoint into a native model directory",
          "dalle1 convert encoder.pkl decoder.pkl --out openai-dvae\n"
          "dalle1 convert pytorch_model_v3.bin vqgan.ckpt bpe.model --config rudalle-malevich --out malevich "
          "--dtype bf16",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<ConvertOptions>();
            app.add_option("paths", options->paths, "Checkpoints, tokenizers, model directories")->required();
            app.add_option("--out", options->out, "The model directory to write")->required();
            app.add_option("--dtype", options->dtype, "Store matrices as this type; by default as they are")
                ->check(CLI::IsMember({"f32", "f16", "bf16", "i8"}));
            app.add_option("--name", options->name, "Name in model.json; by default that of the folder");
            app.add_option("--licence", options->licence, "Licence in model.json");
            app.add_flag("--overwrite", options->overwrite, "Write into a folder that is not empty");
            add_list_option(app, "--config", common.config, "[PART=]PRESET|FILE: the architecture of a part");
            return [options, &common] { return convert(*options, common); };
          }};
}

}  // namespace dalle1::tools
