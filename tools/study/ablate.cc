// dalle1 ablate: attention patterns compared by training.
#include <filesystem>

#include "core/io/atomic_file.h"
#include "rerank/dvae_decoder.h"
#include "tools/models/dvae_model.h"
#include "tools/models/models.h"
#include "tools/program/interrupt.h"
#include "tools/program/output_folder.h"
#include "tools/program/progress.h"
#include "tools/study/ablate_report.h"
#include "tools/train/training.h"
#include "weights/describe.h"
#include "weights/sha256.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

struct AblateOptions {
  std::string study, data, out;
  bool resume = false, tensorboard = false;
};

// Everything that would stop a later run, before the first one.
void check_data(const Study& study, const TokenShards& shards, const text::Tokenizer& tokenizer,
                const std::string& data) {
  const auto& config = study.variants.front().config;
  const TokenShardInfo& info = shards.info();
  check(info.grid == config.grid && info.codes == config.image_vocab, ErrorKind::input,
        "{} holds grids of {} with {} codes; the study has a grid of {} and {} codes", data, info.grid,
        info.codes, config.grid, config.image_vocab);
  check(tokenizer.vocab_size() <= config.text_vocab, ErrorKind::input,
        "the tokenizer has {} tokens and the study {}; raise base.text_vocab", tokenizer.vocab_size(),
        config.text_vocab);
  const auto held_out = static_cast<uint64_t>(training_of(study, study.runs().front()).validation);
  check(shards.size() >= 2 * held_out, ErrorKind::input,
        "{} has {} samples; the study holds {} out, at most half", data, shards.size(), held_out);
}

// The tokenizer of --tokenizer; the model's stands in for it unless the shards were made for another one.
fs::path tokenizer_for(const CommonOptions& common, const TokenShards& shards, const std::string& data) {
  const fs::path path = find_text_tokenizer(common);
  const auto& wanted = shards.info().tokenizer_sha256;
  check(!common.tokenizer.empty() || wanted.empty() || wanted == weights::sha256_of_file(path),
        ErrorKind::usage, "{} was made for another tokenizer than the model's {}: give --tokenizer FILE",
        data, path.string());
  return path;
}

// What decodes the samples: --dvae, or the model's dVAE where the shards were made with it; else null.
std::shared_ptr<dvae::Dvae> dvae_for(const Study& study, const CommonOptions& common,
                                     const TokenShards& shards, Device& device) {
  if (study.samples.prompts.empty()) return nullptr;
  const auto checkpoint = open_part_if_any(common, "dvae");
  if (!checkpoint) return nullptr;
  if (common.dvae.empty() && weights::sha256_of_tensors(*checkpoint) != shards.info().dvae_sha256)
    return nullptr;
  std::shared_ptr<dvae::Dvae> dvae = open_dvae(common, device);
  check(dvae->codes() == shards.info().codes, ErrorKind::input, "the dVAE has {} codes and the study {}",
        dvae->codes(), shards.info().codes);
  return dvae;
}

// Error(interrupted) when a signal stopped the study.
std::vector<RunRecord> run_all(const Study& study, const AblationInputs& inputs, const fs::path& folder,
                               const CommonOptions& common) {
  const GracefulStop stop;
  const auto runs = study.runs();
  std::vector<RunRecord> records;
  const auto check_signal = [&](bool stopped) {
    check(!stopped, ErrorKind::interrupted, "interrupted: {} of {} runs are done; --resume goes on",
          records.size(), runs.size());
  };
  for (const StudyRun& run : runs) {
    const fs::path where = folder / study.folder_of(run);
    auto record = read_run(study, run, inputs, where);
    if (!record) {
      const auto name = where.filename().string();
      tell(common, {{"event", "run"}, {"run", name}, {"number", records.size() + 1}, {"runs", runs.size()}},
           fmt::format("run {} of {}: {}", records.size() + 1, runs.size(), name));
      check_signal(!perform_run(study, run, inputs, where, common));
      record = read_run(study, run, inputs, where);
    }
    records.push_back(std::move(*record));
    check_signal(GracefulStop::requested() && records.size() < runs.size());
  }
  return records;
}

std::vector<std::vector<Image>> decode_samples(const Study& study,
                                               const std::vector<VariantSummary>& summaries,
                                               const std::shared_ptr<dvae::Dvae>& dvae, Device& device) {
  rerank::DvaeDecoder decoder(dvae, device, study.variants.front().config.grid);
  std::vector<std::vector<Image>> pictures;
  for (const VariantSummary& summary : summaries) {
    pictures.emplace_back();
    if (summary.runs.empty()) continue;
    for (const auto& tokens : summary.runs.front()->samples)
      pictures.back().push_back(decoder.decode(tokens, 1).front());
  }
  return pictures;
}

int ablate(const AblateOptions& options, const CommonOptions& common) {
  const Study study = read_study(options.study);
  const TokenShards shards(options.data);
  const fs::path tokenizer_path = tokenizer_for(common, shards, options.data);
  const auto tokenizer = open_text_tokenizer(common);
  check_data(study, shards, *tokenizer, options.data);
  const auto device = open_device(common);
  const auto dvae = dvae_for(study, common, shards, *device);
  const FolderLock lock =
      make_output_folder(common, options.out, options.resume, "go on with --resume, or choose another --out");

  const nlohmann::json identity = {{"samples", shards.size()},
                                   {"dvae_sha256", shards.info().dvae_sha256},
                                   {"tokenizer_sha256", weights::sha256_of_file(tokenizer_path)}};
  const AblationInputs inputs = {*device, shards, *tokenizer, identity, options.tensorboard};
  const fs::path folder = options.out;
  const auto records = run_all(study, inputs, folder / "runs", common);
  const auto summaries = summarise(study, records);
  ReportInputs report = {
      study,
      records,
      summaries,
      fs::path(options.data).filename().string(),
      shards.size(),
      device->is_cpu() ? fmt::format("CPU, {} thread{}", device->threads(), device->threads() == 1 ? "" : "s")
                       : "GPU",
      {}};
  if (dvae) report.pictures = decode_samples(study, summaries, dvae, *device);
  write_file_atomically(folder / "summary.csv", summary_csv(study, records, summaries));
  write_file_atomically(folder / "report.html", ablation_report(report));
  write_file_atomically(folder / "table.md", ablation_table(study, summaries));
  if (common.json) {
    fmt::print("{}\n", nlohmann::ordered_json({{"runs", records.size()},
                                               {"report", (folder / "report.html").string()},
                                               {"summary", (folder / "summary.csv").string()},
                                               {"table", (folder / "table.md").string()}})
                           .dump());
  } else {
    fmt::print("{}{}\n", ablation_table(study, summaries), (folder / "report.html").string());
  }
  return 0;
}

}  // namespace

Command ablate_command() {
  return {
      "ablate", "Compare attention patterns: train each variant of a study and write a report",
      "dalle1 ablate --study tools/studies/masks_small.json --data shards --tokenizer text.model --out study",
      [](CLI::App& app, CommonOptions& common) {
        auto options = std::make_shared<AblateOptions>();
        app.add_option("--study", options->study, "JSON: base, train, variants, seeds, learning rates")
            ->required();
        app.add_option("--data", options->data, "Token shards (see shard)")->required();
        app.add_option("--out", options->out, "Folder for runs, summary.csv, report.html and table.md")
            ->required();
        app.add_flag("--resume", options->resume, "Go on with the study in --out, or start");
        app.add_flag("--tensorboard", options->tensorboard, "Also write TensorBoard event files");
        add_list_option(app, "--tokenizer", common.tokenizer,
                        "The captions' tokenizer (default: the model's, where the shards were made for it)");
        add_list_option(
            app, "--dvae", common.dvae,
            "Decodes the samples for the report (default: the model's, where the shards were made with it)");
        app.add_option("--model", common.model, "Model directory with that tokenizer and dVAE")
            ->envname("DALLE1_MODEL");
        return [options, &common] { return ablate(*options, common); };
      }};
}

}  // namespace dalle1::tools
