// Requests for pictures, from the moment that they are checked to their end. What is behind this interface
// may draw them one after another or let the candidates of several share decoding steps; the HTTP side, which
// knows nothing else of it, stays as it is.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rerank/given_picture.h"
#include "rerank/run_sink.h"

namespace dalle1::serve {

/// What becomes of a request. Called by one thread at a time, not by the one that submitted it; the last call
/// is finished() or failed().
class DrawingListener {
 public:
  virtual ~DrawingListener() = default;
  virtual void started() {}
  virtual rerank::PreviewWish wished_previews() const { return {}; }
  virtual void preview(const rerank::Preview& preview) {}
  virtual void scored(const std::vector<rerank::ResultRow>& rows, const std::vector<Image>& pictures) {}
  virtual void progress(const rerank::PipelineProgress& progress) {}
  virtual void finished(const rerank::MemorySink& result, const rerank::PipelineResult& summary) = 0;
  /// Error(interrupted) where it was cancelled.
  virtual void failed(const Error& error) = 0;
};

struct DrawingRequest {
  std::string id;      ///< Unique.
  std::string client;  ///< Clients take turns.
  rerank::GenerationOptions options;
  std::optional<rerank::GivenPicture> given;
  std::shared_ptr<DrawingListener> listener;
};

enum class DrawingState { queued, drawing, completed, failed, cancelled };
const char* name_of(DrawingState state);

struct DrawingStatus {
  DrawingState state = DrawingState::queued;
  size_t ahead = 0;                    ///< While queued: requests whose turn comes before.
  double fraction = 0;                 ///< Of its tokens that are sampled.
  std::optional<double> seconds_left;  ///< While drawing, where it can be told.
  std::string error;                   ///< Of a failed one.
};

/// What the whole has done.
struct DrawingTotals {
  size_t queued = 0, drawing = 0;  ///< Now.
  uint64_t completed = 0, failed = 0, cancelled = 0;
  uint64_t candidates = 0, tokens = 0;
  rerank::StageSeconds seconds;
};

enum class Submitted { accepted, queue_is_full, stopping };

class Drawing {
 public:
  virtual ~Drawing() = default;
  /// Unless it was accepted the listener hears nothing.
  virtual Submitted submit(DrawingRequest request) = 0;
  /// Ends it within a decoding step; its listener hears that it failed. False when it is not waiting and not
  /// being drawn.
  virtual bool cancel(const std::string& id) = 0;
  /// Of those of now and of the last 1,000 that ended.
  virtual std::optional<DrawingStatus> status(const std::string& id) const = 0;
  virtual DrawingTotals totals() const = 0;
  /// Refuses what waits and what comes; what is being drawn goes on for as long as `grace` and is cancelled
  /// then. Returns when nothing is drawn any more.
  virtual void stop(std::chrono::seconds grace) = 0;
};

}  // namespace dalle1::serve
