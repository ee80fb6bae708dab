// A queue that is fair to clients: they take turns, and each one's requests keep their order.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <string>

namespace dalle1::serve {

template <typename T>
class FairQueue {
 public:
  size_t size() const {
    size_t sum = 0;
    for (const auto& client : clients_) sum += client.waiting.size();
    return sum;
  }

  void push(const std::string& client, T value) {
    auto found =
        std::find_if(clients_.begin(), clients_.end(), [&](const auto& c) { return c.name == client; });
    if (found == clients_.end()) found = clients_.insert(clients_.end(), {client, {}});
    found->waiting.push_back(std::move(value));
  }

  /// The first of the client whose turn it is, who comes last then.
  std::optional<T> pop() {
    if (clients_.empty()) return std::nullopt;
    auto client = std::move(clients_.front());
    clients_.pop_front();
    auto value = std::move(client.waiting.front());
    client.waiting.pop_front();
    if (!client.waiting.empty()) clients_.push_back(std::move(client));
    return value;
  }

  /// Takes out the first of which `is_it` holds.
  template <typename Predicate>
  std::optional<T> remove(const Predicate& is_it) {
    for (auto client = clients_.begin(); client != clients_.end(); ++client) {
      const auto found = std::find_if(client->waiting.begin(), client->waiting.end(), is_it);
      if (found == client->waiting.end()) continue;
      auto value = std::move(*found);
      client->waiting.erase(found);
      if (client->waiting.empty()) clients_.erase(client);
      return value;
    }
    return std::nullopt;
  }

  /// How many will be popped before the first of which `is_it` holds, if no more come; nothing when there is
  /// none.
  template <typename Predicate>
  std::optional<size_t> ahead_of(const Predicate& is_it) const {
    for (size_t c = 0; c < clients_.size(); ++c) {
      const auto& own = clients_[c].waiting;
      const auto found = std::find_if(own.begin(), own.end(), is_it);
      if (found == own.end()) continue;
      const auto round = static_cast<size_t>(found - own.begin());  // as many of its own come before it
      size_t ahead = round;
      for (size_t other = 0; other < clients_.size(); ++other)
        if (other != c) ahead += std::min(clients_[other].waiting.size(), round + (other < c ? 1 : 0));
      return ahead;
    }
    return std::nullopt;
  }

 private:
  struct Client {
    std::string name;
    std::deque<T> waiting;  // never empty
  };
  std::deque<Client> clients_;  // in the order of their turns
};

}  // namespace dalle1::serve
