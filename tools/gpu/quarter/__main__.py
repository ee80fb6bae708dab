"""tools/gpu/quarter_hour.sh main, and rest [SECONDS]; for pack.sh also expect PROGRAM FOLDER. See tools/gpu/README.md."""

import asyncio
import sys

import options

sys.path.append(str(options.ROOT / "tests" / "reference"))  # its readers of this project's files

USAGE = "usage: quarter_hour.sh main | rest [SECONDS]"


def main(words):
    match words:
        case ["main"]:
            from main_run import MainRun

            asyncio.run(MainRun(options.from_environment(options.MAIN)).run())
        case ["rest", *seconds] if len(seconds) < 2:
            from rest_run import RestRun

            asyncio.run(RestRun(options.from_environment(options.REST), float(seconds[0] if seconds else 200)).run())
        case ["expect", program, folder]:
            import expect

            expect.make(program, folder, options.from_environment({}))
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
