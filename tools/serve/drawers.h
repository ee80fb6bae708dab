// Threads that each draw a request; the session lets those of one time share the machine.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "rerank/session.h"
#include "tools/serve/drawing.h"
#include "tools/serve/fair_queue.h"

namespace dalle1::serve {

class Drawers final : public Drawing {
 public:
  /// `count` requests are drawn at a time, at most `waiting` wait. The session must outlive it.
  Drawers(rerank::Session& session, size_t count, size_t waiting);
  ~Drawers() override;

  Submitted submit(DrawingRequest request) override;
  bool cancel(const std::string& id) override;
  std::optional<DrawingStatus> status(const std::string& id) const override;
  DrawingTotals totals() const override;
  void stop(std::chrono::seconds grace) override;

 private:
  struct Current {
    DrawingStatus status;  // under the mutex
    std::atomic<bool> cancelled = false;
  };
  void work();
  void draw(DrawingRequest& request, Current& current);
  rerank::PipelineResult generate(DrawingRequest& request, Current& current, rerank::RunSink& sink);
  void took(const rerank::PipelineResult& result, int64_t tokens);
  void ended(const std::string& id, DrawingState state, const std::string& error = {});

  rerank::Session& session_;
  const size_t most_waiting_;
  mutable std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  FairQueue<DrawingRequest> waiting_;
  bool stopping_ = false;
  std::map<std::string, Current> current_;  // what is being drawn, by id
  std::map<std::string, DrawingStatus> history_;
  std::deque<std::string> history_order_;
  DrawingTotals totals_;
  std::vector<std::thread> threads_;
};

}  // namespace dalle1::serve
