#include "tools/serve/drawers.h"

namespace dalle1::serve {
namespace {

constexpr size_t kMostHistory = 1000;

Error cancelled_error() { return Error(ErrorKind::interrupted, "cancelled"); }

// Keeps the result in memory and tells the listener what happens on the way.
class ToldSink final : public rerank::RunSink {
 public:
  explicit ToldSink(DrawingListener& listener) : listener_(listener) {}
  const rerank::MemorySink& result() const { return memory_; }

  rerank::PreviewWish wished_previews() const override { return listener_.wished_previews(); }
  void preview(const rerank::Preview& preview) override { listener_.preview(preview); }
  void scored(const std::vector<rerank::ResultRow>& rows, const std::vector<Image>& pictures) override {
    listener_.scored(rows, pictures);
  }
  bool has(uint32_t candidate) const override { return memory_.has(candidate); }
  void save_wave(const std::vector<rerank::ResultRow>& rows) override { memory_.save_wave(rows); }
  std::vector<int32_t> tokens_of(uint32_t candidate) const override { return memory_.tokens_of(candidate); }
  void picture(const rerank::ResultRow& row, const Image& picture,
               const std::vector<PngText>& texts) override {
    memory_.picture(row, picture, texts);
  }
  void sheet(const Image&, const std::vector<PngText>&) override {}
  void ranking(const std::vector<rerank::ResultRow>& rows) override { memory_.ranking(rows); }

 private:
  DrawingListener& listener_;
  rerank::MemorySink memory_;
};

}  // namespace

const char* name_of(DrawingState state) {
  switch (state) {
    case DrawingState::queued:
      return "queued";
    case DrawingState::drawing:
      return "drawing";
    case DrawingState::completed:
      return "completed";
    case DrawingState::failed:
      return "failed";
    case DrawingState::cancelled:
      return "cancelled";
  }
  fail(ErrorKind::internal, "no such state");
}

Drawers::Drawers(rerank::Session& session, size_t count, size_t waiting)
    : session_(session), most_waiting_(waiting) {
  for (size_t i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
}

Drawers::~Drawers() {
  stop(std::chrono::seconds(0));
  for (std::thread& thread : threads_) thread.join();
}

Submitted Drawers::submit(DrawingRequest request) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return Submitted::stopping;
  if (waiting_.size() >= most_waiting_) return Submitted::queue_is_full;
  auto client = request.client;
  waiting_.push(client, std::move(request));
  changed_.notify_all();
  return Submitted::accepted;
}

bool Drawers::cancel(const std::string& id) {
  std::optional<DrawingRequest> removed;
  {
    const std::lock_guard lock(mutex_);
    if (history_.count(id) > 0) return false;
    if (const auto found = current_.find(id); found != current_.end()) return found->second.cancelled = true;
    removed = waiting_.remove([&](const auto& request) { return request.id == id; });
  }
  if (!removed) return false;
  ended(id, DrawingState::cancelled);
  removed->listener->failed(cancelled_error());
  return true;
}

std::optional<DrawingStatus> Drawers::status(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  if (const auto found = history_.find(id); found != history_.end()) return found->second;
  if (const auto found = current_.find(id); found != current_.end()) return found->second.status;
  const auto ahead = waiting_.ahead_of([&](const auto& request) { return request.id == id; });
  if (!ahead) return std::nullopt;
  DrawingStatus status;
  status.ahead = *ahead + current_.size();
  return status;
}

DrawingTotals Drawers::totals() const {
  const std::lock_guard lock(mutex_);
  auto totals = totals_;
  totals.queued = waiting_.size();
  totals.drawing = current_.size();
  return totals;
}

void Drawers::stop(std::chrono::seconds grace) {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
  while (auto request = waiting_.pop()) {
    lock.unlock();
    ended(request->id, DrawingState::cancelled);
    request->listener->failed(cancelled_error());
    lock.lock();
  }
  const auto idle = [&] { return current_.empty(); };
  if (changed_.wait_for(lock, grace, idle)) return;
  for (auto& [id, current] : current_) current.cancelled = true;
  changed_.wait(lock, idle);
}

void Drawers::work() {
  for (;;) {
    std::optional<DrawingRequest> request;
    Current* current = nullptr;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || waiting_.size() > 0; });
      request = waiting_.pop();
      if (!request) return;
      current = &current_[request->id];
      current->status.state = DrawingState::drawing;
    }
    draw(*request, *current);
    const std::lock_guard lock(mutex_);
    current_.erase(request->id);
    changed_.notify_all();
  }
}

// No request may end the process: whatever goes wrong is its listener's to hear.
void Drawers::draw(DrawingRequest& request, Current& current) {
  const auto failed = [&](const Error& error) {
    const bool cancelled = error.kind() == ErrorKind::interrupted;
    ended(request.id, cancelled ? DrawingState::cancelled : DrawingState::failed, error.what());
    try {
      request.listener->failed(error);
    } catch (const std::exception&) {
      // Not even the failure could be told.
    }
  };
  try {
    request.listener->started();
    ToldSink sink(*request.listener);
    const auto summary = generate(request, current, sink);
    ended(request.id, DrawingState::completed);
    request.listener->finished(sink.result(), summary);
  } catch (const Error& error) {
    failed(error);
  } catch (const std::bad_alloc&) {
    failed(Error(ErrorKind::memory, "the system has no more memory to give"));
  } catch (const std::exception& error) {
    failed(Error(ErrorKind::internal, error.what()));
  }
}

rerank::PipelineResult Drawers::generate(DrawingRequest& request, Current& current, rerank::RunSink& sink) {
  int64_t tokens = 0;
  const auto progress = [&](const rerank::PipelineProgress& now) {
    // What is cancelled is of no use to anybody: it is not ranked, as an interrupted run would be.
    if (current.cancelled) throw cancelled_error();
    tokens = now.tokens_done;
    {
      const std::lock_guard lock(mutex_);
      current.status.fraction =
          now.tokens > 0 ? static_cast<double>(now.tokens_done) / static_cast<double>(now.tokens) : 1;
      current.status.seconds_left = now.seconds_left;
    }
    request.listener->progress(now);
    return true;
  };
  auto result = session_.generate(request.options, std::move(request.given), sink, progress);
  if (current.cancelled) throw cancelled_error();
  took(result, tokens);
  return result;
}

void Drawers::took(const rerank::PipelineResult& result, int64_t tokens) {
  const std::lock_guard lock(mutex_);
  totals_.candidates += static_cast<uint64_t>(result.candidates_done);
  totals_.tokens += static_cast<uint64_t>(tokens);
  totals_.seconds.prefill += result.seconds.prefill;
  totals_.seconds.sample += result.seconds.sample;
  totals_.seconds.decode += result.seconds.decode;
  totals_.seconds.score += result.seconds.score;
  totals_.seconds.write += result.seconds.write;
}

void Drawers::ended(const std::string& id, DrawingState state, const std::string& error) {
  const std::lock_guard lock(mutex_);
  auto& count = state == DrawingState::completed ? totals_.completed
                : state == DrawingState::failed  ? totals_.failed
                                                 : totals_.cancelled;
  ++count;
  history_[id] = {state, 0, state == DrawingState::completed ? 1.0 : 0.0, std::nullopt, error};
  history_order_.push_back(id);
  if (history_order_.size() <= kMostHistory) return;
  history_.erase(history_order_.front());
  history_order_.pop_front();
}

}  // namespace dalle1::serve
