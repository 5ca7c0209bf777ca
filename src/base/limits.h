// Every limit of the product in one place, with its reason. Nothing is allocated from a number that came from a file,
// a user or a peer before one of these has been checked.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tideline::limits {

// Models -------------------------------------------------------------------------------------------------------------
// Protobuf's own limit for one message.
inline constexpr std::uint64_t kModelFileBytesMax = 2'147'483'647;
// A thirty-deep nest of `If` runs in ONNX Runtime; nothing real is deeper than a few.
inline constexpr int kSubgraphDepthMax = 64;
// Bodies of If, Loop and Scan in one file, wherever they are. The engine takes about a millisecond to load each; real models have
// some hundreds, and a nest of two branches each has 16,000 in a megabyte.
inline constexpr std::size_t kSubgraphsMax = 4096;
// Protobuf's recursion limit while parsing: each subgraph level costs four messages (graph, node, attribute, graph).
inline constexpr int kProtobufDepthMax = 4 * kSubgraphDepthMax + 16;
// The largest public models have some tens of thousands of ops.
inline constexpr std::size_t kOpsMax = 1'000'000;
inline constexpr std::size_t kTensorRankMax = 16;
// One tensor. Larger than any activation of a real network; small enough for sums of many not to overflow.
inline constexpr std::uint64_t kTensorBytesMax = std::uint64_t{1} << 36;
// All weights of a model together, external data included: what the engine may use is no larger.
inline constexpr std::uint64_t kModelWeightsBytesMax = std::uint64_t{8} << 30;
// What the parsed form of a model file may take beside its weights. Two bytes of a file can make a message of 200, so this is
// estimated before anything is built. Larger than any real model needs by a factor of ten.
inline constexpr std::uint64_t kModelStructureBytesMax = std::uint64_t{2} << 30;
// ONNX versions accepted before the engine decides: well above the newest, far below the absurd.
inline constexpr std::int64_t kIrVersionMax = 32;
inline constexpr std::int64_t kOpsetMin = 7;
inline constexpr std::int64_t kOpsetMax = 64;
// A segment's header: names, types and shapes of at most kFrameTensorsMax tensors each way, and the input section.
inline constexpr std::uint32_t kSegmentHeaderBytesMax = 1u << 20;
// Early outputs of a model: published networks have up to about ten.
inline constexpr std::size_t kExitsMax = 64;
// Names end up in error messages and on the wire.
inline constexpr std::size_t kNameBytesMax = 4096;
// The engine's arena: above it a run ends with an error instead of with the machine swapping.
inline constexpr std::uint64_t kEngineMemoryBytesDefault = std::uint64_t{8} << 30;
// More threads than any machine has cores for one run are a mistake.
inline constexpr int kEngineThreadsMax = 1024;
// The probe runs an unknown model once, unoptimised: nothing real takes longer, and what is endless ends here.
inline constexpr std::chrono::milliseconds kProbeDeadline{60'000};

// Images -------------------------------------------------------------------------------------------------------------
inline constexpr std::uint64_t kImageFileBytesMax = 64u << 20;
// 100 megapixels: above every camera's, and 300 MB once decoded.
inline constexpr std::uint64_t kImagePixelsMax = 100'000'000;
// Scans x pixels of a progressive JPEG, each of which costs time: twenty scans of the largest picture. Real ones have about ten.
inline constexpr std::uint64_t kImageScanPixelsMax = 20 * kImagePixelsMax;
// One side of what a model reads; no real network reads more than some thousands.
inline constexpr std::uint32_t kImageSideMax = 16'384;
// One segment of a JPEG, which is where EXIF data lies; and entries of its first directory, of which cameras write about twenty.
inline constexpr std::size_t kExifBytesMax = 65'533;
inline constexpr std::size_t kExifEntriesMax = 1024;
// The text before the numbers of a .npy file; NumPy itself refuses more than ten thousand unless told otherwise.
inline constexpr std::size_t kNpyHeaderBytesMax = 65'536;

// Answers (the output section) -----------------------------------------------------------------------------------------
// Blocks behind a model: nothing real has more than four.
inline constexpr std::size_t kOutputStepsMax = 16;
// Tensors that one of them reads: a detector has a head for each of its scales, and few have more than six.
inline constexpr std::size_t kOutputTensorsMax = 16;
inline constexpr std::size_t kTopkMax = 10'000;
// Classes of a detector, the background included; the largest public set has some nine thousand.
inline constexpr std::size_t kBoxClassesMax = 10'000;
// Suppression compares every box with every other of its class: 200 million comparisons at most.
inline constexpr std::size_t kBoxCandidatesMax = 20'000;
inline constexpr std::size_t kBoxesMax = 10'000;
// Pixels of a map of text: what a detector sees of the largest picture that any is given.
inline constexpr std::uint64_t kTextMapPixelsMax = 16'777'216;
// Anchors of one head, and priors of a whole SSD, whose networks have some ten thousand.
inline constexpr std::size_t kBoxAnchorsMax = 64;
inline constexpr std::size_t kBoxPriorsMax = 1'000'000;
inline constexpr std::size_t kLabelsMax = 100'000;
inline constexpr std::size_t kLabelBytesMax = 256;

// Text files (YAML, JSON) ----------------------------------------------------------------------------------------------
inline constexpr std::uint64_t kConfigFileBytesMax = 64u << 20;
inline constexpr std::uint64_t kYamlFileBytesMax = 1u << 20;
inline constexpr int kConfigDepthMax = 64;

// Clusters -----------------------------------------------------------------------------------------------------------
// One planning problem: a fleet of many cameras is many of them.
inline constexpr std::size_t kClusterNodesMax = 1024;
inline constexpr std::size_t kClusterLinksMax = 4096;
// Places of a request (cluster/routes.h): every simple path of any seven nodes, and any tree that a file may hold.
inline constexpr std::size_t kRoutePlacesMax = 4096;

// Fleets -------------------------------------------------------------------------------------------------------------
// As many tasks as one report names one by one; `tideline schedule` goes further.
inline constexpr std::size_t kFleetTasksMax = 100'000;
// Each is loaded and cut; a site has some tens.
inline constexpr std::size_t kFleetModelsMax = 1'000;
// Sources of one task.
inline constexpr std::size_t kFleetSourcesMax = 64;
// Requests per second: one a day, and more than any node answers.
inline constexpr double kFleetRateMin = 1e-5;
inline constexpr double kFleetRateMax = 1e5;
// A coordinator's control: one task, or a group of them, as one line; a report of the most tasks is what an answer may hold.
inline constexpr std::size_t kControlLineBytesMax = 65'536;
inline constexpr std::size_t kControlAnswerBytesMax = std::size_t{256} << 20;
// Callers at the same time: a person or two and a few scripts.
inline constexpr std::size_t kControlCallersMax = 16;
// Tasks of one submission; more belong in the file.
inline constexpr std::size_t kControlTasksMax = 1'000;
// Tasks that a coordinator runs itself: each of them has some threads and connections of its own.
inline constexpr std::size_t kCoordinatedTasksMax = 2'000;
// Other tasks that may be cut anew, or put off, for one that is submitted.
inline constexpr std::uint32_t kFleetMovesMax = 16;

// Scheduling instances -----------------------------------------------------------------------------------------------
// Two million tasks on 25 servers each: above it, the generator in memory.
inline constexpr std::uint64_t kInstanceFileBytesMax = std::uint64_t{2} << 30;
// The dual's Newton matrix has (2 * servers)^2 numbers: 1.6 GB at 7,000 servers; other policies go further.
inline constexpr std::size_t kInstanceServersMax = 1'000'000;
inline constexpr std::size_t kInstanceModelsMax = 1'000'000;
inline constexpr std::size_t kInstanceLayersMax = 10'000;
inline constexpr std::size_t kInstanceTasksMax = 20'000'000;
inline constexpr std::size_t kInstanceTouchesMax = 500'000'000;
// Every number of an instance is 0 (where that has a meaning) or between these, so that no product or quotient of a
// few of them overflows or loses its digits.
inline constexpr double kInstanceNumberMin = 1e-12;
inline constexpr double kInstanceNumberMax = 1e12;

// Codecs -------------------------------------------------------------------------------------------------------------
// "int8c+zstd" has ten.
inline constexpr std::size_t kCodecNameBytesMax = 32;
// In one profile: more than there are.
inline constexpr std::size_t kCodecsMax = 64;

// Compressed gradients ---------------------------------------------------------------------------------------------------
// Numbers of one update: as float32 they fill the largest frame.
inline constexpr std::size_t kUpdateNumbersMax = std::size_t{1} << 29;
// Parameters of a model, each of which is a layer: the deepest networks have some thousands.
inline constexpr std::size_t kUpdateLayersMax = 100'000;

// Calibrations -------------------------------------------------------------------------------------------------------
// A day of measuring makes about as many; what one of them is made of is short.
inline constexpr std::size_t kCalibrationSamplesMax = 100'000;
inline constexpr std::size_t kCalibrationPartsMax = 64;

// Wire ---------------------------------------------------------------------------------------------------------------
inline constexpr std::uint32_t kFrameTensorsMax = 64;
inline constexpr std::uint64_t kFramePayloadBytesMax = std::uint64_t{1} << 31;
inline constexpr std::uint32_t kFrameMetaBytesMax = 1u << 16;
inline constexpr std::uint32_t kPlanHopsMax = 64;
// Positions of a route: up through the most nodes and back, or as many in any other walk.
inline constexpr std::size_t kPlanStagesMax = 2 * kPlanHopsMax;
// Nodes that management passes through (FORWARD): deeper than any site.
inline constexpr std::size_t kForwardHopsMax = 16;
// What a peer grants is believed up to here.
inline constexpr std::uint32_t kCreditRequestsMax = 1u << 20;
inline constexpr std::uint64_t kCreditBytesMax = std::uint64_t{1} << 40;
// A segment travels in pieces, so that a receiver never allocates for more than it has received.
inline constexpr std::uint64_t kSegmentBytesMax = std::uint64_t{1} << 32;
inline constexpr std::uint32_t kSegmentPieceBytes = 1u << 20;
// Enough for one round to fill a fast link for tens of milliseconds; read in pieces, never held whole.
inline constexpr std::uint64_t kPingPayloadBytesMax = 16u << 20;
inline constexpr std::size_t kWireMessageBytesMax = 512;
// 32 kB of meta; a plan has at most kPlanHopsMax segments.
inline constexpr std::size_t kWireHashesMax = 1024;
// Shares of a node are in millionths of it. What all of them together may exceed it by is what rounding adds up to.
inline constexpr std::uint32_t kShareMax = 1'000'000;
inline constexpr std::uint32_t kSharesTotalMax = 1'010'000;
// A task's deadline, and longer ones are no different from an hour.
inline constexpr std::uint32_t kShareBurstMsMax = 3'600'000;
// A petabyte per second: times of a byte stay above zero.
inline constexpr std::uint64_t kShareLinkBytesMax = 1'000'000'000'000'000;
// Names of tensors in INSTALL; all of them must fit into one meta.
inline constexpr std::size_t kWireTextBytesMax = kNameBytesMax;

// Node ---------------------------------------------------------------------------------------------------------------
// Names of nodes and callers; HELLO has 63 bytes for one.
inline constexpr std::size_t kNodeNameBytesMax = 63;
// A host's name, as the domain name system limits it.
inline constexpr std::size_t kHostBytesMax = 253;
// Emulation multiplies measured times: a thousand times slower than a server is a microcontroller.
inline constexpr double kNodeSlowdownMax = 1e6;
// Less is a forgotten unit: no segment of a real model is smaller.
inline constexpr std::uint64_t kNodeMemoryBytesMin = 65'536;
inline constexpr std::size_t kNodeConnectionsMax = 256;
// Of those, from one address: the others stay for everybody else.
inline constexpr std::size_t kNodeConnectionsPerAddressMax = 192;
// Callers over the limit that are told so at the same time; more are closed without a word.
inline constexpr std::size_t kNodeRefusalsMax = 128;
// A connection that has said nothing for this long, has no request and no beating caller is closed first when room is needed.
inline constexpr std::chrono::milliseconds kNodeSilence{2000};
// Requests of one caller that have come and are not answered.
inline constexpr std::size_t kNodeRequestsPerCallerMax = 256;
// Stages of one caller: some hundred plans are in use at no time.
inline constexpr std::size_t kNodeStagesPerCallerMax = 64;
// Nodes that the stages of one caller may lead to, and attempts to reach one that may fail: a node is no port scanner.
inline constexpr std::size_t kNodeNextPerCallerMax = 16;
inline constexpr std::size_t kNodeNextFailuresMax = 32;
// CANCELs that overtook their RUN and are remembered, and for how long.
inline constexpr std::size_t kNodeEarlyCancelsMax = 64;
inline constexpr std::chrono::milliseconds kNodeEarlyCancelKept{2000};
// Buffers above it are given back when a connection has been idle for a while.
inline constexpr std::uint64_t kNodeIdleBufferBytes = 1u << 20;
// Lookups of names at the same time, abandoned ones included: each holds a thread until the system's resolver gives up.
inline constexpr std::size_t kResolverThreadsMax = 16;
inline constexpr std::size_t kNodeSegmentsMax = 1024;
// Uploads under way hold a descriptor each. A caller pushes one segment after another, so few of one session are real.
inline constexpr std::size_t kStoreUploadsMax = 32;
inline constexpr std::size_t kStoreUploadsPerSessionMax = 8;
// A silent upload gives way to another one after the first time, and goes after the second.
inline constexpr std::chrono::milliseconds kUploadIdle{30'000};
inline constexpr std::chrono::milliseconds kUploadExpiry{600'000};
inline constexpr std::chrono::milliseconds kHandshakeTimeout{5000};
inline constexpr std::chrono::milliseconds kConnectTimeout{3000};
inline constexpr std::chrono::milliseconds kRequestDeadlineDefault{30000};
// Ten years stand for "no deadline": what a person calls endless, and what every clock can still count to.
inline constexpr std::chrono::hours kRequestDeadlineMax{24 * 3650};
// A caller's requests under way at once; each has a thread of the caller, and its tensors in memory.
inline constexpr std::uint32_t kStreamInFlightMax = 64;
// Requests per second of a stream: what a camera, a sensor and a test may want.
inline constexpr double kStreamRateMin = 1e-3;
inline constexpr double kStreamRateMax = 1e6;
// Answers of the next node that may wait to be computed on, and for a caller to take them, before that node is slowed down.
inline constexpr std::size_t kAnswersWaitingMax = 8;
// Calls given up by their caller whose answers a connection still remembers to throw away.
inline constexpr std::size_t kAbandonedCallsMax = 1024;
// Heartbeats on the control connection: three silent periods mean that the peer is gone or frozen.
inline constexpr std::chrono::milliseconds kHeartbeatPeriod{250};
inline constexpr int kHeartbeatsMissedMax = 3;

static_assert(kNodeConnectionsPerAddressMax < kNodeConnectionsMax);

// Planning and measuring ---------------------------------------------------------------------------------------------
// Sets of devices are numbers, and all of them are looked at.
inline constexpr std::size_t kPipelineDevicesMax = 16;
// 64 MB of latencies.
inline constexpr std::size_t kPipelineStatesMax = 8'000'000;
// Of the walk's recursion, and of sets that all have a bit for each op.
inline constexpr std::uint32_t kGraphPeriodOpsMax = 4096;
// 200 MB of choices.
inline constexpr std::size_t kRouteStatesMax = 100'000'000;
// Placements and codecs together that the referee looks at: some seconds.
inline constexpr std::uint64_t kRefereeCodingsMax = 1'000'000;
// 600 MB of numbers in one layer.
inline constexpr std::size_t kLabelNumbersMax = 75'000'000;
// Links times codecs of a search: some hundred megabytes of labels.
inline constexpr std::size_t kWalkHopsMax = 200'000;
// Some seconds.
inline constexpr std::size_t kRefereeWalksMax = 2'000'000;
// So that no table overflows the stack; far above what the limit on walks lets through.
inline constexpr std::size_t kRefereeOpsMax = 64;
// A few seconds.
inline constexpr std::uint64_t kExhaustivePlacementsMax = 1'000'000;
// About two seconds for a table.
inline constexpr std::uint64_t kExhaustiveVisitsMax = 200'000'000;
// Bounds that keep every sum and quotient finite: a petasecond, an exabyte, a byte in eleven days.
inline constexpr double kTableTimeMsMax = 1e15;
inline constexpr double kTableBytesMax = 1e18;
inline constexpr double kTableBytesPerSecondMin = 1e-6;
inline constexpr double kTableBytesPerSecondMax = 1e18;
inline constexpr double kTableWattsMax = 1e9;
inline constexpr double kTableRatioMax = 1e3;
// Every two of some hundred devices; every codec multiplies the hops of a search.
inline constexpr std::size_t kTableLinksMax = 20'000;
inline constexpr std::size_t kTableCodecsMax = 64;
inline constexpr std::size_t kTableEdgesMax = 4 * kOpsMax;
// Any five devices that are all joined, and any tree: some tenths of a second for a graph of a thousand ops.
inline constexpr std::size_t kGraphRoutesMax = 500;
// About a second.
inline constexpr std::size_t kGraphPlacementsMax = 5'000'000;
// A second or two, and some hundred megabytes.
inline constexpr std::size_t kMinCutVariablesMax = 200'000;
// 400 MB.
inline constexpr std::size_t kSegmentStatesMax = 10'000'000;
// A second or two.
inline constexpr double kPairStepsMax = 5e7;
// How much is looked at before the walks are narrowed to those that visit no device twice: some tenths of a second.
inline constexpr std::size_t kSplitLabelsMax = 500'000;
// Counts and dimensions of operators, so that no product of two overflows unnoticed.
inline constexpr std::int64_t kCalibrationCountMax = std::int64_t{1} << 60;
inline constexpr std::int64_t kCalibrationDimensionMax = std::int64_t{1} << 40;
// Times beyond a day, in milliseconds, are damage.
inline constexpr double kProfileMillisMax = 86'400'000;
// Beyond a petabyte a profile is damage.
inline constexpr std::int64_t kProfileBytesMax = std::int64_t{1} << 50;
// A trace has about 400 bytes for each kernel and run.
inline constexpr std::uint64_t kKernelTraceBytesMax = std::uint64_t{1} << 30;
// 200 MB of samples.
inline constexpr std::uint64_t kSimulationSamplesMax = 50'000'000;
// Lengths in pixels: nothing real is longer than the largest picture's side, and no product of a few of them overflows.
inline constexpr double kBoxLengthMax = 1e6;

// Clusters on one machine (tideline local) -----------------------------------------------------------------------------
// One network of a /16 each.
inline constexpr int kLocalClustersMax = 64;
// Above it one machine emulates nothing any more.
inline constexpr std::size_t kLocalNodesMax = 31;
// A link has four addresses of its cluster's /24 of links.
inline constexpr std::size_t kLocalLinksMax = 63;

// Training -------------------------------------------------------------------------------------------------------------
// Each has a connection and a thread of the coordinator; federated experiments have a hundred.
inline constexpr std::size_t kTrainWorkersMax = 1000;
// Processes that workers are spread over unless the job says more: each takes 170 MB before it has read a model.
inline constexpr std::size_t kTrainProcessesDefault = 16;
inline constexpr std::size_t kTrainRoundsMax = 10'000'000;
inline constexpr std::size_t kTrainBatchMax = 1'000'000;
// What JSON and every reader of it keep exactly.
inline constexpr std::uint64_t kTrainSeedMax = (std::uint64_t{1} << 53) - 1;
inline constexpr std::chrono::hours kTrainPatienceMax{24};
// A model as it travels, and what one worker computes of it: 250 million numbers. Below what a frame may hold.
inline constexpr std::uint64_t kTrainModelBytesMax = std::uint64_t{1} << 30;
inline constexpr std::uint64_t kTrainUpdateBytesMax = std::uint64_t{1} << 30;
// What a worker keeps between rounds: at most a model, an optimiser's two moments and a compressor's rest, each as long as it.
inline constexpr std::uint64_t kTrainStateBytesMax = std::uint64_t{1} << 30;
// A job in a meta, beside its other fields.
inline constexpr std::size_t kTrainJobBytesMax = 32'768;
// What has come from other workers and is not yet used, in models: a ring's neighbour is at most one ahead.
inline constexpr std::size_t kTrainInboxModelsMax = 4;
// A checkpoint holds the model, the coordinator's state and one of each worker.
inline constexpr std::uint64_t kTrainCheckpointBytesMax = std::uint64_t{8} << 30;
// Workers that one node starts for one coordinator, and processes that it has for all: each takes 170 MB before it has read a
// model, and its workers share it.
inline constexpr std::size_t kNodeWorkersMax = 256;
inline constexpr std::size_t kNodeWorkerProcessesMax = 16;
// "images:" and a name in the node's folder of data.
inline constexpr std::size_t kTrainDataWordBytesMax = 1024;
// Loading the library on a board takes long, more so when several do.
inline constexpr std::chrono::seconds kTrainWorkerStart{60};
// Pictures of one data set that is read from files: as many as there are rows in the numbers that name them, and fewer than fill
// the memory with their names.
inline constexpr std::size_t kTrainPicturesMax = 4'000'000;
// A worker whose coordinator has not come, or come back, ends.
inline constexpr std::chrono::seconds kTrainOrphanPatience{120};

static_assert(kTrainModelBytesMax + kTrainStateBytesMax <= kFramePayloadBytesMax);
static_assert(kTrainUpdateBytesMax <= kFramePayloadBytesMax);
static_assert(kTrainJobBytesMax < kFrameMetaBytesMax);
static_assert(kSegmentPieceBytes <= kFramePayloadBytesMax);
static_assert(kUpdateNumbersMax * sizeof(float) <= kFramePayloadBytesMax);
static_assert(kYamlFileBytesMax <= kConfigFileBytesMax);
static_assert(kClusterNodesMax <= kRoutePlacesMax);

}  // namespace tideline::limits
