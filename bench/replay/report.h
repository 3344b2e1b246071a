/* What a storm was like, as text for people and as JSON for programs. */
#pragma once

#include "node.h"

void report_text(const struct storm *storm, FILE *out);
void report_json(const struct storm *storm, FILE *out);
