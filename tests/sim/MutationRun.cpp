// Mutants in child processes, since they may crash or hang, and the account of them.
#include "tests/sim/MutationRun.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <map>
#include <random>
#include <regex>
#include <set>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "runtime/core/TextForm.h"
#include "tests/sim/CaseTable.h"
#include "tests/sim/Mutants.h"

namespace gptqc::sim {

namespace {

struct Mutant {
  std::string file, function, change, text;
  bool isOfKernel() const { return function.starts_with("gptqc_linear"); }
  /// An instruction that orders, waits or copies, left out: must be caught wherever it runs.
  bool isInstruction() const {
    return change == "instruction left out" || change.starts_with("waits for");
  }
  /// Whether the place has this mutant whatever its types: it tells what code was executed.
  bool isStructural() const {
    return isInstruction() || change == "statement left out" || change == "loop left out" ||
           change.starts_with("condition") || change.find("becomes") != std::string::npos;
  }
  /// What known mutants are found by: a place that survives edits elsewhere. Numbers in emitted
  /// code, which differ from kernel to kernel, are N.
  std::string key() const {
    if (!isOfKernel())
      return fmt::format("{} | {} | {} | {}", file, function, change, text);
    static const std::regex numbers("\\b[0-9]+\\b");
    const size_t again = text.find(" #"); // "#2": the function's second such place
    return fmt::format("kernel | kernel | {} | {}{}", change,
                       std::regex_replace(text.substr(0, again), numbers, "N"),
                       again == std::string::npos ? "" : text.substr(again));
  }
};

enum Outcome { Survived, WrongResult, Order, Deadlock, Crash, Hang, Outcomes };
constexpr std::array<const char *, Outcomes> kOutcomes = {
    "survived", "wrong result", "memory or order rule", "deadlock", "crash", "no end"};

/// One kernel, ready to run on its token counts with several seeds.
struct Subject {
  const Case *entry = nullptr;
  std::vector<CaseRun> runs;
  std::vector<Reach> reach; ///< by mutant
  double seconds = 0;       ///< of CPU time, of its runs without a mutant
  uint64_t accesses = 0;    ///< in them: the same on every machine
};

/// A mutant and what has happened to it.
struct Trial {
  int mutant = 0;
  /// Left-out instructions must be caught wherever they run. A changed value, or one that is not
  /// set, may not matter in one kernel (a sum with what is zero there, a remainder of 1): it is
  /// enough that one notices.
  bool everywhere = false;
  Reach reach = Reach::Never;            ///< the most in any subject
  std::vector<const Subject *> subjects; ///< that it changes something in
  size_t next = 0;                       ///< subject to run in
  std::vector<Outcome> outcomes;         ///< in the subjects before
  std::vector<const Case *> survived;

  void add(Outcome outcome) {
    outcomes.push_back(outcome);
    if (outcome == Survived)
      survived.push_back(subjects[next]->entry);
    ++next;
  }
  bool finished() const {
    return next == subjects.size() || (!everywhere && next > survived.size());
  }
  bool caught() const { return everywhere ? survived.empty() : next > survived.size(); }
};

Result<std::vector<Mutant>> readTable(const std::string &path) {
  std::ifstream input(path);
  if (!input)
    return makeError(Code::NotFound, "{}: cannot be read", path);
  std::vector<Mutant> table;
  for (std::string line; std::getline(input, line);) {
    const std::vector<std::string_view> fields = splitAt(line, '\t');
    if (fields.size() != 6)
      return invalidArgument("{}: line {}: expected 6 fields", path, table.size() + 1);
    table.push_back({std::string(fields[1]), std::string(fields[3]), std::string(fields[4]),
                     std::string(fields[5])});
  }
  return table;
}

/// The explained mutants: by key, the text that a kernel's line must hold (empty: any kernel), or
/// kNoKernel for those that change nothing in any.
constexpr const char *kNoKernel = "no kernel";
using Known = std::multimap<std::string, std::string>;

/// A line is a key, perhaps " @ " and a text, then " -- " and the reason.
Result<Known> readKnown(const std::string &path) {
  Known known;
  if (path.empty())
    return known;
  std::ifstream input(path);
  if (!input)
    return makeError(Code::NotFound, "{}: cannot be read", path);
  for (std::string line; std::getline(input, line);) {
    if (line.empty() || line.starts_with('#'))
      continue;
    const size_t reason = line.rfind(" -- ");
    if (reason == std::string::npos)
      return invalidArgument("{}: '{}' gives no reason behind ' -- '", path, line);
    line.resize(reason);
    const size_t at = line.find(" @ ");
    known.emplace(line.substr(0, at), at == std::string::npos ? "" : line.substr(at + 3));
  }
  return known;
}

bool isKnown(const Known &known, const std::string &key, const Case &entry) {
  const std::string line =
      fmt::format("{} | {} | {}", entry.descriptor, entry.target, entry.schedule);
  const auto [first, last] = known.equal_range(key);
  return std::any_of(first, last,
                     [&](const auto &item) { return line.find(item.second) != std::string::npos; });
}

Result<Subject> prepare(const Case &entry) {
  Subject subject;
  subject.entry = &entry;
  // Sums that do not cancel first, then both orders and NaN.
  for (uint64_t kind : {1, 2, 3})
    for (int64_t m : entry.tokens) {
      GPTQC_ASSIGN(CaseRun run, CaseRun::prepare(entry.kernels, entry.launch, entry.descriptor, m,
                                                 4 * (entry.seed + uint64_t(m)) + kind));
      subject.runs.push_back(std::move(run));
    }
  recordMutants();
  const std::clock_t start = std::clock();
  for (CaseRun &run : subject.runs) {
    const Report report = run.run();
    subject.accesses += report.counters.accesses;
    if (!report.clean())
      return makeError(Code::Internal, "{} | {} | {} fails without a mutant: {}", entry.descriptor,
                       entry.target, entry.schedule, report.text());
  }
  subject.seconds = double(std::clock() - start) / CLOCKS_PER_SEC;
  subject.reach = recordMutants();
  return subject;
}

[[noreturn]] void runChild(const Subject &prepared, int mutant) {
  // A mutant may loop: the timer of CPU time kills it.
  const double limit = 1 + 10 * prepared.seconds;
  itimerval timer = {};
  timer.it_value.tv_sec = time_t(limit);
  setitimer(ITIMER_PROF, &timer, nullptr);
  activateMutant(mutant);
  Subject subject = prepared;
  for (CaseRun &run : subject.runs) {
    const Report report = run.run(true);
    if (report.clean())
      continue;
    const std::string &what = report.errors[0].what;
    _exit(what.starts_with("deadlock")  ? Deadlock
          : what.starts_with("block (") ? Order
                                        : WrongResult);
  }
  _exit(Survived);
}

Outcome outcomeOf(int status) {
  if (WIFEXITED(status))
    return WEXITSTATUS(status) < Outcomes ? Outcome(WEXITSTATUS(status)) : Crash;
  return WTERMSIG(status) == SIGPROF ? Hang : Crash;
}

/// A line of a state file: the mutant, and its outcomes in the order of its kernels.
void appendState(const std::string &path, const Trial &trial) {
  std::string line = fmt::format("{}", trial.mutant);
  for (Outcome outcome : trial.outcomes)
    line += fmt::format(" {}", int(outcome));
  std::ofstream(path, std::ios::app) << line + "\n";
}

/// Adds the outcomes of a state file to the trials; a torn line is left out.
void readState(const std::string &path, std::vector<Trial> &trials) {
  std::map<int, Trial *> byMutant;
  for (Trial &trial : trials)
    byMutant[trial.mutant] = &trial;
  std::ifstream input(path);
  for (std::string line; std::getline(input, line) && !input.eof();) {
    const std::vector<std::string_view> fields = splitTokens(line);
    const auto found = byMutant.find(int(parseInteger(fields.at(0)).value_or(-1)));
    if (found == byMutant.end() || found->second->next > 0)
      continue;
    for (size_t i = 1; i < fields.size(); ++i)
      found->second->add(Outcome(parseInteger(fields[i]).value_or(Survived)));
  }
}

/// Runs the trials to their ends, reports each that ends.
template <typename Finished>
void runTrials(std::vector<Trial> &trials, const MutationOptions &options,
               const Finished &finished) {
  std::map<pid_t, Trial *> running;
  size_t next = 0;
  const auto start = [&](Trial &trial) {
    const pid_t pid = fork();
    if (pid == 0)
      runChild(*trial.subjects[trial.next], trial.mutant);
    running[pid] = &trial;
  };
  while (next < trials.size() || !running.empty()) {
    while (next < trials.size() && int(running.size()) < options.jobs) {
      Trial &trial = trials[next++];
      if (trial.finished())
        finished(trial);
      else
        start(trial);
    }
    int status = 0;
    const auto found = running.find(wait(&status));
    if (found == running.end())
      continue;
    Trial &trial = *found->second;
    running.erase(found);
    trial.add(outcomeOf(status));
    if (!trial.finished()) {
      start(trial);
      continue;
    }
    if (!options.state.empty())
      appendState(options.state, trial);
    finished(trial);
  }
}

/// A trial for each mutant of the table whose key contains the filter, in its kernels from the
/// fastest on.
std::vector<Trial> chooseTrials(const std::vector<Mutant> &table, std::vector<Subject> &subjects,
                                const MutationOptions &options) {
  std::sort(subjects.begin(), subjects.end(),
            [](const Subject &a, const Subject &b) { return a.accesses < b.accesses; });
  std::vector<Trial> trials;
  for (size_t i = 0; i < table.size(); ++i) {
    Trial trial;
    trial.mutant = int(i);
    trial.everywhere = table[i].isInstruction();
    if (table[i].key().find(options.filter) != std::string::npos)
      trials.push_back(std::move(trial));
  }
  for (const Subject &subject : subjects)
    for (Trial &trial : trials) {
      const size_t mutant = size_t(trial.mutant);
      const Reach reach = mutant < subject.reach.size() ? subject.reach[mutant] : Reach::Never;
      trial.reach = std::max(trial.reach, reach);
      if (reach == Reach::Changing)
        trial.subjects.push_back(&subject);
    }
  if (options.sample > 0 && trials.size() > options.sample) {
    std::mt19937_64 random(options.seed);
    std::shuffle(trials.begin(), trials.end(), random);
    trials.resize(options.sample);
  }
  return trials;
}

/// Splits off the trials that have no kernel, and of these leaves those that want one: code that no
/// kernel executes, or to whose result the change makes no difference. Places of emitted code in
/// several kernels that differ in numbers alone are one; changes that the types do not allow are no
/// mutants.
std::vector<Trial> splitIdle(std::vector<Trial> &trials, const std::vector<Mutant> &table) {
  const auto place = [&](const Trial &trial) { return table[size_t(trial.mutant)].key(); };
  std::set<std::string> exercised;
  for (const Trial &trial : trials)
    if (!trial.subjects.empty())
      exercised.insert(place(trial));
  std::vector<Trial> idle;
  for (const Trial &trial : trials) {
    const bool exists = trial.reach == Reach::Same || table[size_t(trial.mutant)].isStructural();
    if (trial.subjects.empty() && exists && !exercised.contains(place(trial)))
      idle.push_back(trial);
  }
  std::erase_if(trials, [](const Trial &trial) { return trial.subjects.empty(); });
  return idle;
}

/// How the mutants ended; they count once, whatever the number of their kernels.
struct Account {
  size_t mutants = 0, runs = 0, caught = 0, explained = 0, idle = 0, open = 0;
  std::array<size_t, Outcomes> caughtBy = {}; ///< by what in the first kernel

  void add(const Trial &trial, const std::string &key, const Known &known) {
    ++mutants;
    runs += trial.next;
    if (trial.caught()) {
      ++caught;
      ++caughtBy[*std::find_if(trial.outcomes.begin(), trial.outcomes.end(),
                               [](Outcome outcome) { return outcome != Survived; })];
      return;
    }
    std::vector<const Case *> unknown;
    for (const Case *entry : trial.survived)
      if (!isKnown(known, key, *entry))
        unknown.push_back(entry);
    ++(unknown.empty() ? explained : open);
    fmt::print("{} {} of {}: {}\n", unknown.empty() ? "explained" : "SURVIVED",
               trial.survived.size(), trial.next, key);
    for (const Case *entry : unknown)
      fmt::print("    {} | {} | {}\n", entry->descriptor, entry->target, entry->schedule);
    std::fflush(stdout);
  }

  void addIdle(const std::string &key, const Known &known) {
    ++mutants;
    const auto [first, last] = known.equal_range(key);
    const bool isKnown =
        std::any_of(first, last, [](const auto &item) { return item.second == kNoKernel; });
    ++(isKnown ? explained : idle);
    fmt::print("{} in no kernel: {}\n", isKnown ? "explained" : "IDLE", key);
  }

  void print(size_t kernels) const {
    const double all = double(std::max<size_t>(mutants, 1));
    fmt::print("{} mutants of {} kernels, {} runs\n", mutants, kernels, runs);
    for (int i = 1; i < Outcomes; ++i)
      fmt::print("  caught by {:<22} {:>6}\n", kOutcomes[size_t(i)], caughtBy[size_t(i)]);
    const std::array<std::pair<const char *, size_t>, 4> verdicts = {
        {{"caught", caught}, {"explained in the list", explained}, {"idle", idle}, {"open", open}}};
    for (const auto &[verdict, count] : verdicts)
      fmt::print("  {:<32} {:>6}  {:.2f} %\n", verdict, count, 100 * double(count) / all);
  }
};

} // namespace

Status runMutants(const MutationOptions &options) {
  GPTQC_ASSIGN(const std::vector<Mutant> table, readTable(options.table));
  GPTQC_ASSIGN(const Known known, readKnown(options.known));
  std::vector<Subject> subjects;
  for (const Case &entry : caseTable()) {
    GPTQC_ASSIGN(Subject subject, prepare(entry));
    subjects.push_back(std::move(subject));
  }
  std::vector<Trial> trials = chooseTrials(table, subjects, options);
  Account account;
  for (const Trial &trial : splitIdle(trials, table))
    account.addIdle(table[size_t(trial.mutant)].key(), known);
  if (!options.state.empty())
    readState(options.state, trials);
  runTrials(trials, options, [&](const Trial &trial) {
    account.add(trial, table[size_t(trial.mutant)].key(), known);
  });
  account.print(subjects.size());
  if (account.open + account.idle > 0)
    return makeError(Code::Internal, "{} mutants survived, {} are idle, and nothing explains them",
                     account.open, account.idle);
  return Status();
}

} // namespace gptqc::sim
