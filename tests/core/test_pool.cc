#include <doctest/doctest.h>

#include "core/ops/group_norm.h"
#include "core/ops/pool.h"
#include "core/ops/upsample.h"
#include "tests/core/op_cases_picture.h"
#include "tests/core/picture_check.h"

using namespace dalle1;
using test::Values;

namespace {

// Every (planes, H, W) with odd sizes and sizes of one window.
const std::vector<Shape> kShapes = {{2, 3, 4, 6}, {1, 17, 5, 7}, {2, 16, 2, 2}, {1, 1, 3, 2}};

}  // namespace

TEST_CASE("max_pool") {
  for (const Shape& shape : kShapes) {
    for (const bool blocked : {false, true}) {
      test::check_picture_op(
          {{shape},
           [](Context& c, const std::vector<Tensor>& in) { return ops::max_pool(c, in[0]); },
           [&](const std::vector<Values>& in) { return test::reference_max_pool(shape, in[0]); },
           blocked});
    }
  }
}

TEST_CASE("the first maximum takes the gradient of max_pool") {
  auto device = make_cpu_device(1);
  Tape tape;
  Context context(*device, &tape);
  const Tensor x = Tensor::full(*device, {1, 1, 2, 2}, 3.0f);
  tape.watch(x);
  tape.backward(ops::sum(context, ops::max_pool(context, x)));
  CHECK(tape.gradient(x).to_floats() == std::vector<float>{1, 0, 0, 0});
}

TEST_CASE("avg_pool") {
  for (const int k : {1, 2, 3}) {
    for (const Shape& shape : std::vector<Shape>{{2, 3, 4, 6}, {1, 17, 5, 7}, {1, 16, 3, 3}}) {
      for (const bool blocked : {false, true}) {
        test::check_picture_op(
            {{shape},
             [k](Context& c, const std::vector<Tensor>& in) { return ops::avg_pool(c, in[0], k); },
             [&](const std::vector<Values>& in) { return test::reference_avg_pool(shape, k, in[0]); },
             blocked});
      }
    }
  }
}

TEST_CASE("upsample") {
  for (const Shape& s : std::vector<Shape>{{2, 3, 4, 6}, {1, 17, 5, 1}, {2, 16, 1, 1}}) {
    for (const bool blocked : {false, true}) {
      test::check_picture_op(
          {{s},
           [](Context& c, const std::vector<Tensor>& in) { return ops::upsample(c, in[0]); },
           [&](const std::vector<Values>& in) { return test::reference_upsample(s, in[0]); },
           blocked});
    }
  }
}

TEST_CASE("group_norm") {
  for (const Shape& shape : std::vector<Shape>{{2, 4, 3, 5}, {1, 24, 4, 3}, {2, 40, 1, 2}}) {
    for (const int groups : {1, 4}) {
      for (const bool blocked : {false, true}) {
        test::check_picture_op({{shape, {shape[1]}, {shape[1]}},
                                [&](Context& c, const std::vector<Tensor>& in) {
                                  return ops::group_norm(c, in[0], in[1], in[2], groups);
                                },
                                [&](const std::vector<Values>& in) {
                                  return test::reference_group_norm(shape, groups, in[0], in[1], in[2]);
                                },
                                blocked});
      }
    }
  }
}

TEST_CASE("a picture smaller than its window is refused") {
  auto device = make_cpu_device(1);
  Context context(*device);
  CHECK_THROWS_AS(ops::max_pool(context, Tensor::zeros(*device, {1, 1, 1, 4})), Error);
  CHECK_THROWS_AS(ops::avg_pool(context, Tensor::zeros(*device, {1, 1, 4, 2}), 3), Error);
}
