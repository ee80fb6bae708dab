// The folder of one run: what is on the disk at any moment is complete files only, and enough to go on from.
//
//   run.json                  options, model, cost; "status" is running, partial or done. Cost is that of all
//                             calls; it is saved with each wave, so a kill loses that of the wave it hit
//   tokens/wave-000064.jsonl  one file a wave, named after its first candidate: rows without, later with
//   scores rank-000_candidate-0417.png ..., grid.png, results.jsonl   written when the run is ranked
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "rerank/run_sink.h"

namespace dalle1::rerank {

/// What to do with an output folder that is not empty.
enum class Existing { refuse, resume, overwrite };

/// Refuses what prepare_folder would refuse, and changes nothing: for a clear answer before long work.
void check_folder(const std::filesystem::path& folder, Existing existing);

/// Makes the folder, or applies `existing` to one that is there. Error(usage) for a folder with files under
/// refuse; overwrite removes the files of earlier runs and nothing else; Error(output) when it cannot be made
/// or written.
void prepare_folder(const std::filesystem::path& folder, Existing existing);

/// The options by the names of their fields, {"top_k": 0, ...}: version 0.1 wrote them as on its command
/// line, with hyphens and two in front.
Json by_field_names(const Json& options);

/// The record `before` with what it lacks of `now`: a generation option that its version did not have meant
/// the default. In the order of `now`.
Json with_defaults(const Json& before, const Json& now);

/// The options of the run in the folder, by_field_names; {} where there is none. Error(input) when run.json
/// is not the record of a run.
Json options_of_run(const std::filesystem::path& folder);

class RunFolder final : public RunSink {
 public:
  /// `options` is everything that would change the result, as a flat object {"temperature": 0.9, ...}; on
  /// resume each must equal what run.json has: Error(usage) that names the option and both values. `record`
  /// is more for run.json: device, estimates, ...
  RunFolder(std::filesystem::path folder, Existing existing, Json options, Json record = Json::object());

  const std::filesystem::path& path() const { return path_; }
  /// The sheet of a run in this folder.
  std::filesystem::path sheet_path() const { return path_ / "grid.png"; }

  /// Only if all that a finished run leaves is still there.
  std::optional<std::vector<ResultRow>> finished() const override;
  RunCost earlier_cost() const override;
  bool has(uint32_t candidate) const override { return saved_.count(candidate) > 0; }
  size_t saved_waves() const override { return waves_.size(); }
  SavedWave saved_wave(size_t number) const override;

  /// run.json: {"format", "status", "options", then `record` and the state}.
  void state(const RunState& state) override;
  void save_wave(const std::vector<ResultRow>& rows) override;
  /// Read from the disk: memory does not grow with the number of candidates.
  std::vector<int32_t> tokens_of(uint32_t candidate) const override { return load(candidate).tokens; }
  void picture(const ResultRow& row, const Image& picture, const std::vector<PngText>& texts) override;
  void sheet(const Image& sheet, const std::vector<PngText>& texts) override;
  /// results.jsonl, and removal of pictures of an earlier ranking that `rows` does not name.
  void ranking(const std::vector<ResultRow>& rows) override;

 private:
  struct Place {
    std::filesystem::path file;
    size_t offset = 0;  ///< of the row's first byte
  };
  void read_saved_waves();
  void index_wave(const std::filesystem::path& file);
  ResultRow load(uint32_t candidate) const;

  std::filesystem::path path_;
  Json options_, record_;
  Json earlier_ = Json::object();             // run.json as it was before this call
  bool done_ = false;                         // the run was finished before
  std::vector<std::filesystem::path> waves_;  // of earlier calls, in order of their first candidate
  std::map<uint32_t, Place> saved_;
};

}  // namespace dalle1::rerank
