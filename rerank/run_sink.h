// Where a run goes: a folder, memory, a connection. The pipeline says what happens; the sink keeps it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/image/image.h"
#include "core/image/png.h"
#include "rerank/results.h"
#include "rerank/run_cost.h"

namespace dalle1::rerank {

/// Where a run stands.
struct RunState {
  std::string status;  ///< "running", "partial" (cancelled, what there is was ranked) or "done".
  std::string prompt;
  int candidates_done = 0;  ///< Scored, those of earlier calls included.
  int wave = 0;             ///< Candidates decoded together.
  RunCost cost;             ///< Of all calls.
};

/// Rows of a wave that an earlier call sampled, with tokens, and perhaps with scores.
struct SavedWave {
  std::string where;  ///< For messages about it.
  std::vector<ResultRow> rows;
};

/// How much a sink wants to see of the wave that is being sampled; decoding it costs time.
struct PreviewWish {
  int rows = 0;      ///< Of the grid, between two previews; 0: it wants none.
  int pictures = 0;  ///< Of the wave's first candidates.
};

/// Pictures of a wave that is being sampled.
struct Preview {
  std::vector<uint32_t> candidates;
  int rows = 0;                 ///< Whole rows of the grid that are drawn.
  std::vector<Image> pictures;  ///< RGBA, transparent where nothing is drawn yet.
};

class RunSink {
 public:
  virtual ~RunSink() = default;

  // While a wave is worked on, for those who watch.
  virtual PreviewWish wished_previews() const { return {}; }
  virtual void preview(const Preview& preview) {}
  /// A wave was decoded and scored.
  virtual void scored(const std::vector<ResultRow>& rows, const std::vector<Image>& pictures) {}

  // What earlier calls of the same run left: nothing, in sinks that cannot resume.
  /// The ranking of a run that was finished, without tokens; nothing where work is left.
  virtual std::optional<std::vector<ResultRow>> finished() const { return std::nullopt; }
  virtual RunCost earlier_cost() const { return {}; }
  virtual bool has(uint32_t candidate) const = 0;
  virtual size_t saved_waves() const { return 0; }
  virtual SavedWave saved_wave(size_t number) const { return {}; }

  /// Before the first wave and after each.
  virtual void state(const RunState& state) {}
  /// A wave was sampled, or, with the same rows again, scored. Each wave is saved before the next is sampled.
  virtual void save_wave(const std::vector<ResultRow>& rows) = 0;
  /// The tokens of a candidate that was saved.
  virtual std::vector<int32_t> tokens_of(uint32_t candidate) const = 0;

  // At the end, in this order: each kept picture, the best first; the sheet; all rows, best first, without
  // tokens.
  virtual void picture(const ResultRow& row, const Image& picture, const std::vector<PngText>& texts) = 0;
  virtual void sheet(const Image& sheet, const std::vector<PngText>& texts) = 0;
  virtual void ranking(const std::vector<ResultRow>& rows) = 0;
};

/// Keeps everything in memory.
class MemorySink final : public RunSink {
 public:
  struct Picture {
    ResultRow row;
    Image picture;
    std::vector<PngText> texts;
  };
  const std::vector<Picture>& pictures() const { return pictures_; }  ///< The kept ones, best first.
  const Image& sheet() const { return sheet_; }
  const std::vector<ResultRow>& rows() const { return rows_; }  ///< All, best first, without tokens.

  bool has(uint32_t candidate) const override { return tokens_.count(candidate) > 0; }
  void save_wave(const std::vector<ResultRow>& rows) override;
  std::vector<int32_t> tokens_of(uint32_t candidate) const override { return tokens_.at(candidate); }
  void picture(const ResultRow& row, const Image& picture, const std::vector<PngText>& texts) override;
  void sheet(const Image& sheet, const std::vector<PngText>& texts) override { sheet_ = sheet; }
  void ranking(const std::vector<ResultRow>& rows) override { rows_ = rows; }

 private:
  std::map<uint32_t, std::vector<int32_t>> tokens_;
  std::vector<Picture> pictures_;
  Image sheet_;
  std::vector<ResultRow> rows_;
};

}  // namespace dalle1::rerank
