// SPDX-License-Identifier: Apache-2.0
// Files that the page itself makes. Never opened, only saved.
export function saveFile(name: string, text: string, type = 'text/plain'): void {
  const address = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name.replace(/[^\w.-]+/g, '_');
  document.body.append(link);
  link.click();
  link.remove();
  URL.revokeObjectURL(address);
}
