#include "clip/picture_scores.h"

#include <Eigen/Eigenvalues>
#include <algorithm>

#include "clip/clip.h"
#include "core/error.h"

namespace dalle1::clip {
namespace {

struct Normal {
  Eigen::VectorXd mean;
  Eigen::MatrixXd covariance;
};

Normal fitted(std::span<const float> features, int64_t width) {
  using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto count = static_cast<int64_t>(features.size()) / width;
  check(count >= 2, ErrorKind::input, "a Frechet distance needs two pictures or more on each side; here {}",
        count);
  Eigen::MatrixXd rows = Eigen::Map<const Rows>(features.data(), count, width).cast<double>();
  Normal normal;
  normal.mean = rows.colwise().mean().transpose();
  rows.rowwise() -= normal.mean.transpose();
  normal.covariance = rows.transpose() * rows / static_cast<double>(count - 1);
  return normal;
}

// Of fewer pictures than the features are wide some eigenvalues are 0, and rounding makes them negative.
Eigen::VectorXd root_of_eigenvalues(const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>& solver) {
  return solver.eigenvalues().cwiseMax(0.0).cwiseSqrt();
}

Eigen::MatrixXd square_root(const Eigen::MatrixXd& covariance) {
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance);
  return solver.eigenvectors() * root_of_eigenvalues(solver).asDiagonal() * solver.eigenvectors().transpose();
}

}  // namespace

std::vector<double> paired_cosines(const Tensor& images, const Tensor& texts) {
  const auto all = cosines(images, texts).to_floats();
  const auto count = static_cast<size_t>(images.dim(0));
  check(texts.dim(0) == images.dim(0), ErrorKind::internal, "{} texts for {} pictures", texts.dim(0), count);
  std::vector<double> pairs;
  for (size_t i = 0; i < count; ++i) pairs.push_back(all[i * count + i]);
  return pairs;
}

double clip_score(double cosine) { return 2.5 * std::max(cosine, 0.0); }

double frechet_distance(std::span<const float> a, std::span<const float> b, int64_t width) {
  const Normal first = fitted(a, width), second = fitted(b, width);
  // (S1 S2)^(1/2) has the trace of (R S2 R)^(1/2) with R = S1^(1/2), which is symmetric.
  const Eigen::MatrixXd root = square_root(first.covariance);
  const Eigen::MatrixXd product = root * second.covariance * root;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(product, Eigen::EigenvaluesOnly);
  const double shared = root_of_eigenvalues(solver).sum();
  const double distance = (first.mean - second.mean).squaredNorm() + first.covariance.trace() +
                          second.covariance.trace() - 2 * shared;
  return std::max(distance, 0.0);
}

}  // namespace dalle1::clip
