// What a picture says about how it was made.
#pragma once

#include <string>
#include <vector>

#include "core/image/png.h"
#include "rerank/generation_options.h"
#include "rerank/results.h"

namespace dalle1::rerank {

/// What the records of a run say, equal for all candidates.
struct RunInfo {
  GenerationOptions request;
  int cells = 0;        ///< G * G image tokens; the pipeline fills it in
  std::string version;  ///< Of this program.
  std::string model_name;
  std::string model_sha256;     ///< Of the transformer.
  std::string device;           ///< cpu or cuda: results are equal bit for bit on one kind only.
  Json extra = Json::object();  ///< What a command adds: kept rows, region, ...
};

/// iTXt texts of one picture: `parameters` in the form that other programs of the field read, and `dalle1` as
/// JSON. No times and no paths, so that equal runs give equal files.
std::vector<PngText> picture_metadata(const RunInfo& info, const ResultRow& row, int size, bool partial);
/// The same for the sheet of a run: candidates and kept instead of one candidate.
std::vector<PngText> sheet_metadata(const RunInfo& info, int candidates, int kept, int size, bool partial);

}  // namespace dalle1::rerank
