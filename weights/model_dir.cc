#include "weights/model_dir.h"

#include <algorithm>
#include <iterator>

#include "core/io/file_kind.h"
#include "weights/safetensors.h"
#include "weights/sha256.h"
#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

constexpr const char* part_names[] = {"dvae", "transformer", "clip", "captioner"};
constexpr const char* tokenizer_names[] = {"tokenizer", "clip_tokenizer"};
constexpr const char* tokenizer_kinds[] = {"sentencepiece", "yttm", "clip_bpe", "hf_clip_bpe", "hf_bpe"};

const nlohmann::json& member(const std::string& name, const nlohmann::json& object, const char* key,
                             nlohmann::json::value_t type) {
  auto found = object.find(key);
  check(found != object.end() &&
            (found->type() == type ||
             (type == nlohmann::json::value_t::number_unsigned && found->is_number_unsigned())),
        ErrorKind::model, "{}: '{}' is missing or of the wrong kind", name, key);
  return *found;
}

/// Reads the members of one model.json with errors that name the document.
class Document {
 public:
  Document(const std::filesystem::path& folder, const nlohmann::json& json, bool verify)
      : folder_(folder), name_((folder / "model.json").string()), json_(json), verify_(verify) {
    using value = nlohmann::json::value_t;
    check(json_.is_object(), ErrorKind::model, "{}: not a JSON object", name_);
    check(member(name_, json_, "format", value::number_unsigned) == model_format_version, ErrorKind::model,
          "{}: format {}; this program reads format {}", name_, json_["format"].dump(), model_format_version);
    member(name_, json_, "files", value::object);
  }

  std::string text(const nlohmann::json& object, const char* key) const {
    return member(name_, object, key, nlohmann::json::value_t::string).get<std::string>();
  }

  /// The path of a file that the document names, once its size, and on demand its hash, are as recorded.
  std::filesystem::path file(const nlohmann::json& object) const {
    using value = nlohmann::json::value_t;
    const std::string file = text(object, "file");
    check(is_plain_file_name(file), ErrorKind::model, "{}: '{}' is not a plain file name", name_,
          printable(file));
    const nlohmann::json& record = member(name_, json_["files"], file.c_str(), value::object);
    const auto size = member(name_, record, "bytes", value::number_unsigned).get<uint64_t>();
    const std::string hash = text(record, "sha256");
    FileBytes bytes = map_file(folder_ / file);
    check(bytes.size() == size, ErrorKind::model, "{}: {} bytes; model.json says {}{}", bytes.name,
          bytes.size(), size, bytes.size() < size ? but_it_is(text_of(bytes.bytes)) : "");
    check(!verify_ || sha256(bytes.bytes) == hash, ErrorKind::model,
          "{}: its sha256 is not the one in model.json", bytes.name);
    return folder_ / file;
  }

  Checkpoint part(const std::string& part) const {
    const nlohmann::json& entry = member(name_, json_, part.c_str(), nlohmann::json::value_t::object);
    Checkpoint result;
    result.part = part;
    result.format = "native";
    result.config = member(name_, entry, "config", nlohmann::json::value_t::object);
    const auto path = file(entry);
    result.source = path.string();
    result.tensors = read_safetensors(map_file(path)).tensors;
    return result;
  }

  std::optional<TokenizerFile> tokenizer(const char* key) const {
    if (!json_.contains(key)) return {};
    const nlohmann::json& entry = member(name_, json_, key, nlohmann::json::value_t::object);
    TokenizerFile result{text(entry, "kind"), file(entry)};
    check(std::find(std::begin(tokenizer_kinds), std::end(tokenizer_kinds), result.kind) !=
              std::end(tokenizer_kinds),
          ErrorKind::model, "{}: unknown kind of tokenizer '{}'", name_, printable(result.kind));
    return result;
  }

 private:
  const std::filesystem::path& folder_;
  std::string name_;
  const nlohmann::json& json_;
  bool verify_;
};

std::string default_card(const nlohmann::json& document) {
  std::string card = fmt::format("# {}\n\nLicence: {}\n\nA model directory of dalle1. Parts:\n\n",
                                 document.value("name", ""), document.value("licence", ""));
  for (const char* part : part_names)
    if (document.contains(part)) card += fmt::format("- {}: `{}`\n", part, document[part].value("file", ""));
  card += fmt::format("\n## Provenance\n\n```json\n{}\n```\n", document["provenance"].dump(2));
  return card;
}

}  // namespace

bool is_model_dir(const std::filesystem::path& path) {
  std::error_code error;  // an unreadable path is no model directory; opening it will say why
  return std::filesystem::is_regular_file(path / "model.json", error);
}

ModelDir read_model_dir(const std::filesystem::path& path, bool verify) {
  ModelDir model;
  model.path = path;
  const auto file = path / "model.json";
  model.document = parse_small_json(file.string(), read_text_file(file, largest_small_json));
  Document document(path, model.document, verify);
  model.name = document.text(model.document, "name");
  model.licence = document.text(model.document, "licence");
  for (const char* part : part_names)
    if (model.document.contains(part)) model.parts.emplace(part, document.part(part));
  check(!model.parts.empty(), ErrorKind::model, "{}: it names no dvae, transformer, clip or captioner",
        file.string());
  model.sampling = model.document.value("sampling", nlohmann::json::object());
  check(model.sampling.is_object(), ErrorKind::model, "{}: 'sampling' is not an object", file.string());
  model.tokenizer = document.tokenizer(tokenizer_names[0]);
  model.clip_tokenizer = document.tokenizer(tokenizer_names[1]);
  return model;
}

ModelDirWriter::ModelDirWriter(std::filesystem::path path, const std::string& name,
                               const std::string& licence)
    : path_(std::move(path)) {
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  check(!error, ErrorKind::output, "{} cannot be made: {}", path_.string(), error.message());
  document_ = {{"format", model_format_version},
               {"name", name},
               {"licence", licence},
               {"provenance", nlohmann::json::object()},
               {"files", nlohmann::json::object()}};
}

void ModelDirWriter::set_sampling(nlohmann::json sampling) {
  if (!sampling.empty()) document_["sampling"] = std::move(sampling);
}

void ModelDirWriter::add(const Checkpoint& checkpoint, std::optional<DType> dtype) {
  write_part(path_ / (checkpoint.part + ".safetensors"), checkpoint, dtype);
  add_written(checkpoint.part, checkpoint.config);
}

void ModelDirWriter::add_written(const std::string& part, const nlohmann::json& config) {
  check(std::find(std::begin(part_names), std::end(part_names), part) != std::end(part_names),
        ErrorKind::internal, "a model has no part '{}'", part);
  const std::string file = part + ".safetensors";
  record(file);
  document_[part] = {{"config", config}, {"file", file}};
}

void ModelDirWriter::add_tokenizer(const std::string& key, const TokenizerFile& tokenizer,
                                   const std::string& file_name) {
  const FileBytes bytes = map_file(tokenizer.path);
  add_tokenizer(key, tokenizer.kind, std::string(text_of(bytes.bytes)), file_name);
}

void ModelDirWriter::add_tokenizer(const std::string& key, const std::string& kind, const std::string& text,
                                   const std::string& file_name) {
  check(is_plain_file_name(file_name), ErrorKind::internal, "'{}' is not a plain file name", file_name);
  write_file_atomically(path_ / file_name, text);
  record(file_name);
  document_[key] = {{"kind", kind}, {"file", file_name}};
}

void ModelDirWriter::record(const std::string& file_name) {
  const auto file = path_ / file_name;
  document_["files"][file_name] = {{"sha256", sha256_of_file(file)},
                                   {"bytes", std::filesystem::file_size(file)}};
}

void ModelDirWriter::commit() {
  write_file_atomically(path_ / "README.md", card_.empty() ? default_card(document_) : card_);
  write_file_atomically(path_ / "model.json", document_.dump(2) + "\n");
}

}  // namespace dalle1::weights
