/**
 * A list that is patched by key: scroll, selection and focus survive every update.
 *
 * @template Item
 * @typedef {{ root: HTMLElement, show: (item: Item) => void }} View
 */

/** @template {object} Item */
export class Keyed {
  /** @type {Map<string, View<Item>>} */ #views = new Map();
  /** @type {WeakMap<View<Item>, Item>} */ #shown = new WeakMap();

  /** @param {HTMLElement} list @param {() => View<Item>} view */
  constructor(list, view) {
    this.list = list;
    this.view = view;
  }

  /** @param {ReadonlyMap<string, Item>} items  in order */
  show(items) {
    for (const [key, { root }] of this.#views) {
      if (items.has(key)) continue;
      root.remove();
      this.#views.delete(key);
    }
    let next = this.list.firstElementChild;
    for (const [key, item] of items) {
      const view = this.#views.get(key) ?? this.view();
      this.#views.set(key, view);
      if (!same(this.#shown.get(view), item)) view.show(item);
      this.#shown.set(view, item);
      if (next && next !== view.root && next.nextElementSibling === view.root) {
        this.list.append(next); // one that moved back; without this all behind it would move
        next = view.root;
      }
      if (view.root === next) next = next.nextElementSibling;
      else this.list.insertBefore(view.root, next);
    }
  }
}

/** @param {Record<string, any> | undefined} one @param {Record<string, any>} other  with the same names */
function same(one, other) {
  return one !== undefined && Object.keys(other).every((name) => Object.is(one[name], other[name]));
}
