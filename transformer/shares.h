// How the threads of a CPU divide a decoding: all of them at each product, or each with candidates of its
// own.
#pragma once

#include <cstdint>

namespace dalle1::transformer {

/// Shares into which `candidates` are divided, each of which one thread takes through the whole grid; 1: all
/// threads work at each step together. At most `threads`. `groups`: rows a candidate, 2 with guidance.
///
/// The cheaper way is taken. Costs of a step are counted in rows of its products. Reading the weights costs
/// as much as a dozen rows: threads together read a part each, a thread with a share reads all of them for
/// itself. All else that a row needs costs as much as one and a half rows of products, and most of it is too
/// small to be divided: together one thread does it while the others wait. A share has at least 8 rows, so
/// that reading weights is not most of what it does; at most half of the threads are left without one.
int share_count(int64_t candidates, int groups, int threads);

}  // namespace dalle1::transformer
