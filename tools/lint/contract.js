// SPDX-License-Identifier: Apache-2.0
// contract.js FILE... - every fault of OpenAPI documents, and every piece of advice of the linter's strict rules, which count as faults here.
const { createConfig, formatProblems, getTotals, lint } = require('@redocly/openapi-core');

async function main(files) {
  const config = await createConfig({ extends: ['recommended-strict'] });
  let faults = 0;
  for (const ref of files) {
    const problems = await lint({ ref, config });
    const totals = getTotals(problems);
    faults += totals.errors + totals.warnings;
    formatProblems(problems, { format: 'codeframe', maxProblems: 50, totals });
  }
  console.log(faults ? `${faults} faults` : `${files.length} documents keep to the OpenAPI specification`);
  process.exitCode = faults ? 1 : 0;
}

main(process.argv.slice(2));
