// How long a picture takes on this machine.
#pragma once

#include "rerank/session.h"

namespace dalle1::serve {

/// Seconds of one candidate among many, with the model's advice: sampling measured over part of a wave,
/// decoding and scoring over a few pictures. A whole wave's memory is taken on the way, so that a machine
/// that has too little of it fails now: Error(memory). An empty `scorer` is the model's.
double measure_candidate(rerank::Session& session, const std::string& scorer);

}  // namespace dalle1::serve
