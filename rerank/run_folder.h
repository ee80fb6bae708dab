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

#include "rerank/results.h"

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

/// The options of the run in the folder, by_field_names; {} where there is none. Error(input) when run.json
/// is not the record of a run.
Json options_of_run(const std::filesystem::path& folder);

class RunFolder {
 public:
  /// `options` is everything that would change the result, as a flat object {"temperature": 0.9, ...}; on
  /// resume each must equal what run.json has: Error(usage) that names the option and both values.
  RunFolder(std::filesystem::path folder, Existing existing, const Json& options);

  const std::filesystem::path& path() const { return path_; }
  /// run.json as it was before this call; {} when the run begins.
  const Json& earlier() const { return earlier_; }
  /// The run was finished before: nothing is left to do.
  bool done() const { return done_; }

  /// Saves the rows of one wave, or replaces them once they are scored.
  void save_wave(const std::vector<ResultRow>& rows);
  bool has(uint32_t candidate) const { return saved_.count(candidate) > 0; }
  /// Files with saved waves, in order of their first candidate.
  std::vector<std::filesystem::path> waves() const;
  /// One saved row, read from the disk: memory does not grow with the number of candidates.
  ResultRow load(uint32_t candidate) const;

  /// results.jsonl from rows without tokens (they are read from the saved waves), and removal of pictures of
  /// an earlier ranking that `rows` does not name.
  void write_results(const std::vector<ResultRow>& rows) const;
  /// run.json: {"format", "status", "options", then `record`}.
  void write_run(const std::string& status, const Json& record) const;

 private:
  struct Place {
    std::filesystem::path file;
    size_t offset = 0;  ///< of the row's first byte
  };
  void read_saved_waves();
  void index_wave(const std::filesystem::path& file);

  std::filesystem::path path_;
  Json options_;
  Json earlier_ = Json::object();
  bool done_ = false;
  std::map<uint32_t, Place> saved_;
};

}  // namespace dalle1::rerank
