// Elements made of text and attributes. Nothing here turns text into markup, so nothing that a machine, an operator or
// a document says can become code.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element. Properties become attributes; `on` holds listeners, `hidden`, `disabled` and the like are set where
 * true; children are nodes or text, and null is left out.
 */
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** Make an SVG element in the same way. */
export function s(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

/** Set the text of a node where it differs: a live region speaks, and a selection is lost, only on a change. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Bring the children of `parent` in step with `nodes`, moving only those out of place, so that focus stays. */
export function arrange(parent, nodes) {
  const kept = new Set(nodes);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  nodes.forEach((node, index) => {
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
}

export function byId(id) {
  return document.getElementById(id);
}

function filled(element, { on = {}, ...attributes }, children) {
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}
