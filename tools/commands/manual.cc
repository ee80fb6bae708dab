// dalle1 manual: the manual pages and the completion for bash, as packages install them.
#include <filesystem>
#include <memory>

#include "core/io/atomic_file.h"
#include "tools/program/command.h"
#include "tools/program/completion.h"
#include "tools/program/man_page.h"
#include "tools/program/output_folder.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

int write_manual(const CommonOptions& common, const fs::path& folder) {
  std::vector<Command> commands;
  for (auto& command : all_commands())
    if (!command.hidden) commands.push_back(std::move(command));
  const FolderLock lock = make_output_folder(common, folder / "man1", true, "");
  write_file_atomically(folder / "man1/dalle1.1", program_page(commands));
  for (const auto& command : commands)
    write_file_atomically(folder / "man1" / (page_name(command) + ".1"), command_page(command));
  write_file_atomically(folder / "dalle1.bash", bash_completion(commands));
  return 0;
}

}  // namespace

Command manual_command() {
  return {"manual", "Write the manual pages and the completion for bash", "dalle1 manual --out manual",
          [](CLI::App& app, CommonOptions& common) {
            auto folder = std::make_shared<std::string>();
            app.add_option("--out", *folder, "The folder: man1/*.1 and dalle1.bash")->required();
            return [folder, &common] { return write_manual(common, *folder); };
          },
          true};
}

}  // namespace dalle1::tools
