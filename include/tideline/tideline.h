// Everything that a program needs to run a model over a cluster. docs/embedding.md has the page; examples/embed a whole program.
#pragma once

#include "tideline/buffer.h"
#include "tideline/cancel.h"
#include "tideline/compare.h"
#include "tideline/control.h"
#include "tideline/deployment.h"
#include "tideline/result.h"
#include "tideline/tensor.h"
#include "tideline/units.h"
