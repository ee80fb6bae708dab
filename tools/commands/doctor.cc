// dalle1 doctor: what this machine offers to the program, and whether the program computes rightly on it.
#include <fmt/format.h>
#include <link.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "tools/commands/self_test.h"
#include "tools/program/command.h"
#include "tools/program/ranks.h"

namespace dalle1::tools {
namespace {

using Json = nlohmann::ordered_json;

int threads_of(const CommonOptions& common) {
  return common.threads > 0 ? common.threads : usable_processors();
}

Json describe_devices(const CommonOptions& common) {
  Json devices = Json::array();
  const auto cpu = make_cpu_device(threads_of(common));
  devices.push_back({{"device", "cpu"},
                     {"description", cpu->describe()},
                     {"threads", cpu->threads()},
                     {"memory_available", cpu->available_memory()}});
  for (int index = 0; index < cuda_device_count(); ++index) {
    const auto cuda = make_cuda_device(index);
    devices.push_back({{"device", fmt::format("cuda:{}", index)},
                       {"description", cuda->describe()},
                       {"memory_available", cuda->available_memory()}});
  }
  return devices;
}

// The shared libraries in this process by their files' names, which tell the versions.
std::vector<std::string> loaded_libraries() {
  std::vector<std::string> names;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* found) {
        std::error_code error;
        const auto file = std::filesystem::canonical(info->dlpi_name, error).filename().string();
        // Plugins of MPI have no versions of their own.
        const bool of_system = file.starts_with("libc.") || file.starts_with("ld-") ||
                               file.starts_with("mca_") || file.starts_with("pmix_mca_");
        if (!error && !of_system) static_cast<std::vector<std::string>*>(found)->push_back(file);
        return 0;
      },
      &names);
  std::sort(names.begin(), names.end());
  return names;
}

// Seconds that the slowest rank takes to sum `bytes` of f32, the best of a few times.
double measure_all_reduce(Comm& comm, Device& device, int64_t bytes) {
  const Tensor tensor = Tensor::zeros(device, {bytes / 4});
  double best = 0;
  for (int time = 0; time < 4; ++time) {
    comm.barrier();
    const auto begin = std::chrono::steady_clock::now();
    all_reduce(comm, tensor);
    comm.barrier();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (time == 0 || seconds < best) best = seconds;
  }
  return best;
}

Json describe_ranks(Comm& comm, Device& device) {
  Json ranks = Json::array();
  for (const auto& said :
       comm.all_gather(json_text({{"host", comm.host()}, {"device", device.describe()}}))) {
    Json rank = {{"rank", ranks.size()}};
    rank.update(Json::parse(said));
    ranks.push_back(rank);
  }
  constexpr int64_t bytes = 64'000'000;
  return {{"ranks", ranks},
          {"all_reduce_bytes", bytes},
          {"all_reduce_seconds", measure_all_reduce(comm, device, bytes)}};
}

void print_ranks(const Json& job) {
  for (const auto& rank : job["ranks"])
    fmt::print("rank {:<3} {}: {}\n", rank["rank"].get<int>(), rank["host"].get<std::string>(),
               rank["device"].get<std::string>());
  const double bytes = job["all_reduce_bytes"], seconds = job["all_reduce_seconds"];
  fmt::print("sum      {:.0f} MB of all ranks in {:.3f} s: {:.2f} GB/s\n", bytes / 1e6, seconds,
             bytes / 1e9 / seconds);
}

void print_report(const Json& report) {
  fmt::print("dalle1 {}\n", report["version"].get<std::string>());
  for (const auto& device : report["devices"])
    fmt::print("device   {}\n", device["description"].get<std::string>());
  if (report["devices"].size() == 1) fmt::print("device   no usable GPU\n");
  const auto& model = report["model"];
  fmt::print("model    {}\n", model.is_null() ? "none found: give --model DIR to the commands that draw"
                                              : model.get<std::string>());
  fmt::print("libs     {}\n", fmt::join(report["libraries"].get<std::vector<std::string>>(), ", "));
  fmt::print("mpi      {}\n", report["mpi"].get<std::string>());
  if (report.contains("job")) print_ranks(report["job"]);
  fmt::print("waiting  {}\n", report["wait_policy"].get<std::string>());
  for (const auto& check : report["self_test"])
    fmt::print("{:<8} {}: {}\n", check["passed"].get<bool>() ? "ok" : "FAILED",
               check["name"].get<std::string>(), check["detail"].get<std::string>());
}

int doctor(const CommonOptions& common) {
  Json report = {{"version", DALLE1_VERSION}, {"devices", describe_devices(common)}};
  const auto model = find_model_if_any(common);
  report["model"] = model ? Json(model->string()) : Json(nullptr);
  report["libraries"] = loaded_libraries();
  report["mpi"] = mpi_version();
  const auto device = make_device(common.device, threads_of(common));
  if (Comm& comm = *job_comm(); comm.size() > 1) report["job"] = describe_ranks(comm, *device);
  const char* policy = getenv("OMP_WAIT_POLICY");
  report["wait_policy"] = policy ? policy : "active";
  bool passed = true;
  report["self_test"] = Json::array();
  for (const auto& check : run_self_test(*device)) {
    passed = passed && check.passed;
    report["self_test"].push_back({{"name", check.name}, {"passed", check.passed}, {"detail", check.detail}});
  }
  if (common.json)
    fmt::print("{}\n", json_text(report));
  else
    print_report(report);
  check(passed, ErrorKind::internal,
        "the self-test failed: this build does not compute rightly on this machine");
  return 0;
}

}  // namespace

Command doctor_command() {
  return {"doctor", "Devices, memory, and a self-test of seconds", "dalle1 doctor",
          [](CLI::App& app, CommonOptions& common) {
            add_model_options(app, common);
            return [&common] { return doctor(common); };
          }};
}

}  // namespace dalle1::tools
