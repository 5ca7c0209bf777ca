#include "run_session.h"

#include <fmt/format.h>

#include "base/units.h"
#include "model/segment.h"
#include "platform/files.h"
#include "tensor/npy.h"

namespace tideline::app {
namespace {

struct Request {
  std::vector<Tensor> inputs;
  std::vector<Tensor> reference;  // the unsplit model's outputs; filled when verifying
};

std::vector<TensorView> views_of(const std::vector<Tensor>& tensors) {
  std::vector<TensorView> views;
  for (const Tensor& tensor : tensors) views.push_back(view(tensor));
  return views;
}

Result<std::vector<Request>> read_requests(const RunArguments& arguments, const LoadedModel& loaded) {
  std::vector<Request> requests;
  std::vector<std::string> files{""};
  if (!arguments.inputs.model.input.empty()) {
    TIDELINE_TRY(files, input_files(loaded, arguments.inputs.model.input));
  }
  for (const std::string& file : files) {
    Request request;
    if (file.empty()) {
      for (const Tensor& tensor : loaded.sample) request.inputs.push_back({tensor.spec, Buffer::copy_of(tensor.data.span())});
    } else {
      TIDELINE_TRY(request.inputs, read_input(loaded, file));
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

// Runs the whole chain as one segment in this process, once for each input.
Status run_unsplit(const Context& context, LoadedModel& loaded, std::vector<Request>& requests) {
  TIDELINE_TRY(const Segment whole, extract_segment(loaded.model, loaded.chain, 0, loaded.chain.block_count() - 1));
  TIDELINE_TRY(const auto session, loaded.engine->load(whole.bytes, {}));
  for (Request& request : requests) {
    std::vector<TensorView> inputs;
    for (const TensorSpec& spec : session->inputs()) {
      for (const Tensor& tensor : request.inputs)
        if (tensor.spec.name == spec.name) inputs.push_back(view(tensor));
    }
    std::vector<RunOutput> outputs(session->outputs().size());
    TIDELINE_CHECK_OK(session->run(inputs, outputs, {.cancel = &context.interrupted}));
    for (const TensorSpec& wanted : loaded.chain.cuts.back().tensors) {
      for (const RunOutput& output : outputs)
        if (output.spec.name == wanted.name) request.reference.push_back({output.spec, Buffer::copy_of(output.bytes)});
      // A model may hand an input straight through.
      for (const Tensor& tensor : request.inputs)
        if (tensor.spec.name == wanted.name) request.reference.push_back({tensor.spec, Buffer::copy_of(tensor.data.span())});
    }
  }
  return {};
}

void verify(const Request& request, const RunAnswer& answer, Verification& verification) {
  if (request.reference.size() != answer.outputs.size()) {
    verification = {.done = true};
    return;
  }
  for (std::size_t i = 0; i < request.reference.size(); ++i)
    compare_output(request.reference[i], answer.outputs[i], verification);
}

Status save_outputs(const std::string& folder, const RunAnswer& answer) {
  TIDELINE_CHECK_OK(make_folders(folder));
  for (std::size_t i = 0; i < answer.outputs.size(); ++i) {
    TIDELINE_TRY(const std::string bytes, write_npy(view(answer.outputs[i])));
    TIDELINE_CHECK_OK(write_file_atomic(fmt::format("{}/output{}.npy", folder, i), bytes));
  }
  return {};
}

}  // namespace

void add_run_options(CLI::App& command, RunArguments& arguments) {
  command.add_option("--plan", arguments.plan, "A plan file of `tideline plan --plan-out`; without it, plans now")
      ->type_name("FILE");
  add_profile_options(command, arguments.inputs);
  command.add_option("--planner", arguments.planner, "Only this planner (see `tideline plan --help`)")->type_name("NAME");
  command
      .add_option(
          "--cuts", arguments.cuts,
          "Place by hand: the first block of each next node. 3,40 gives blocks 0..2 to the first node, 3..39 to the second")
      ->delimiter(',')
      ->type_name("K,K,...")
      ->excludes("--plan");
  command.add_flag("--split", arguments.split, "The best plan over two nodes or more, even where not splitting is better");
  command.add_option("-n,--requests", arguments.requests, "Requests to measure")
      ->check(CLI::Range(1U, 10'000'000U))
      ->capture_default_str();
  command.add_option("--warmup", arguments.warmup, "Requests before those")->capture_default_str();
  command.add_option("--timeout", arguments.timeout, "Deadline of one request")->capture_default_str();
  command.add_flag("--verify", arguments.verify, "Compare every output with the unsplit model's, run in this process");
  command.add_option("--save-output", arguments.save_output, "Folder for the outputs of the last request (.npy)")
      ->type_name("DIR");
}

Result<RunReport> run_requests(Context& context, const RunArguments& arguments, LoadedModel& loaded, const Cluster& cluster,
                               Transport& transport, const ChosenPlan& chosen) {
  RunReport report;
  report.planner = chosen.plan.planner;
  report.predicted = chosen.estimate;
  TIDELINE_TRY(const Millis timeout, parse_duration(arguments.timeout));
  if (timeout.count() <= 0) return Error{ErrorCode::kInvalidArgument, "--timeout must be above 0"};
  TIDELINE_TRY(std::vector<Request> requests, read_requests(arguments, loaded));
  if (arguments.verify) TIDELINE_CHECK_OK(run_unsplit(context, loaded, requests));

  ClusterClient client(transport, cluster);
  {
    Progress progress(context, "Pushing segments", 100);
    TIDELINE_TRY(report.deployed, client.deploy(loaded.model, loaded.chain, chosen.plan, context.interrupted,
                                                [&](const std::string& node, Bytes done, Bytes total) {
                                                  progress.advance_to(
                                                      static_cast<std::size_t>(100 * done / std::max<Bytes>(1, total)), node);
                                                }));
  }
  RunRequest options;
  options.timeout = std::chrono::duration_cast<Nanos>(timeout);
  options.cancel = context.interrupted;
  Progress progress(context, "Running", arguments.requests);
  const std::uint32_t total = arguments.warmup + arguments.requests;
  for (std::uint32_t i = 0; i < total; ++i) {
    if (context.interrupted.cancelled()) return Error{ErrorCode::kCancelled, "interrupted"};
    Request& request = requests[i % requests.size()];
    TIDELINE_TRY(RunAnswer answer, client.run(views_of(request.inputs), options));
    if (arguments.verify) verify(request, answer, report.verification);
    if (i + 1 == total && !arguments.save_output.empty()) TIDELINE_CHECK_OK(save_outputs(arguments.save_output, answer));
    if (i < arguments.warmup) continue;
    answer.outputs.clear();
    report.answers.push_back(std::move(answer));
    progress.advance_to(i + 1 - arguments.warmup);
  }
  return report;
}

int exit_code_of(const RunReport& report) {
  return report.verification.done && !report.verification.within_tolerance ? kExitThresholdMissed : kExitOk;
}

}  // namespace tideline::app
