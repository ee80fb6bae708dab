// What a client may take of the server.
#pragma once

#include <chrono>
#include <cstddef>

namespace dalle1::serve {

struct Limits {
  // Connections.
  size_t connections = 64;
  size_t header_bytes = 8192;
  size_t body_bytes = 20'000'000;
  size_t bodies_together = 128'000'000;  ///< Of all requests that are being read.
  std::chrono::seconds header_time{10};  ///< For the whole head of a request.
  std::chrono::seconds body_time{60};
  std::chrono::seconds idle_time{60};   ///< Between requests.
  std::chrono::seconds write_time{30};  ///< For the next quarter of a megabyte to be taken.
  size_t events_waiting =
      4'000'000;  ///< Bytes that a slow client may be behind before previews are left out.

  // Requests.
  size_t json_bytes = 1'000'000;
  size_t form_parts = 64;
  size_t prompt_bytes = 4000;
  int candidates = 512;
  int keep = 64;  ///< Pictures in an answer.
  int partial_images = 64;
  size_t queue = 64;                       ///< Requests that wait.
  std::chrono::seconds answer_time{3600};  ///< From the end of a request to the end of its answer.
  std::chrono::seconds stopping_time{60};  ///< For what is being drawn when the server is told to stop.
};

}  // namespace dalle1::serve
