// SPDX-License-Identifier: Apache-2.0
// Reads [{secret, headers, body}, ...] and prints, for each, null when the library of Standard Webhooks takes it, or else what it says.
const { Webhook } = require('standardwebhooks');

const chunks = [];
process.stdin.on('data', (chunk) => chunks.push(chunk));
process.stdin.on('end', () => {
  const verdicts = JSON.parse(Buffer.concat(chunks).toString()).map(({ secret, headers, body }) => {
    try {
      new Webhook(secret).verify(body, headers);
      return null;
    } catch (error) {
      return String(error.message);
    }
  });
  console.log(JSON.stringify(verdicts));
});
