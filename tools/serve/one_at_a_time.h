// Drawing one request after another, which a session does: all of the machine works on each.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "rerank/session.h"
#include "tools/serve/drawing.h"
#include "tools/serve/fair_queue.h"

namespace dalle1::serve {

class OneAtATime final : public Drawing {
 public:
  /// At most `waiting` requests wait. The session must outlive it.
  OneAtATime(rerank::Session& session, size_t waiting);
  ~OneAtATime() override;

  Submitted submit(DrawingRequest request) override;
  bool cancel(const std::string& id) override;
  std::optional<DrawingStatus> status(const std::string& id) const override;
  DrawingTotals totals() const override;
  void stop(std::chrono::seconds grace) override;

 private:
  void work();
  void draw(DrawingRequest& request);
  rerank::PipelineResult generate(DrawingRequest& request, rerank::RunSink& sink);
  void took(const rerank::PipelineResult& result, int64_t tokens);
  void ended(const std::string& id, DrawingState state, const std::string& error = {});

  rerank::Session& session_;
  const size_t most_waiting_;
  mutable std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  FairQueue<DrawingRequest> waiting_;
  bool stopping_ = false;
  std::string current_;  // the id of what is being drawn
  DrawingStatus current_status_;
  std::atomic<bool> cancelled_ = false;  // the one that is being drawn
  std::map<std::string, DrawingStatus> history_;
  std::deque<std::string> history_order_;
  DrawingTotals totals_;
  std::thread thread_;
};

}  // namespace dalle1::serve
