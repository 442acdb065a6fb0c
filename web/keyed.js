/**
 * A list that is patched by key: scroll, selection and focus survive every update.
 *
 * @template Item
 * @typedef {{ root: HTMLElement, show: (item: Item) => void }} View
 */

/** @template Item */
export class Keyed {
  /** @type {Map<string, View<Item>>} */ #views = new Map();

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
      view.show(item);
      if (view.root === next) next = next.nextElementSibling;
      else this.list.insertBefore(view.root, next);
    }
  }
}
