// Every rank runs all tests; what fails on one fails the launcher.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "core/comm/comm.h"

int main(int argc, char** argv) {
  const auto comm = dalle1::mpi_comm();
  doctest::Context context(argc, argv);
  return context.run();
}
